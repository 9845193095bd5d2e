"""What a split takes, of one dataset and of several at once: functions of wildcards."""


def previous_split_of(wildcards):
    """Return the split before this one, once the dataset is locked."""
    checkpoints.lock.get(dataset=wildcards.dataset)
    return f"results/{wildcards.dataset}/split-previous.json"


def fixed_split_of(wildcards):
    """Return a split that is used as it is: one's own, or one over several datasets."""
    for name, members in CONFIG["together"].items():
        if wildcards.dataset in members:
            return [f"results/together/{name}.{kind}" for kind in ("tsv", "json")]
    path = CONFIG["datasets"][wildcards.dataset]["split"]["fixed"]
    return [path] if path else []


def people_of_dataset(wildcards):
    """Return who is the same person under several names."""
    return people_of(CONFIG, wildcards.dataset)


def members_of(wildcards):
    """Return the datasets that are split at once."""
    return CONFIG["together"][wildcards.together]


def of_every_member(name):
    """Return an input function: that result of every member."""

    def paths(wildcards):
        return [f"results/{dataset}/{name}" for dataset in members_of(wildcards)]

    return paths


def previous_splits_of(wildcards):
    """Return the splits before this one, once the members are locked."""
    for dataset in members_of(wildcards):
        checkpoints.lock.get(dataset=dataset)
    return of_every_member("split-previous.json")(wildcards)


def settings_of_members(*keys):
    """Return a params function: those settings of every member, as one tracked value."""

    def spec(wildcards):
        return {
            key: {name: CONFIG["datasets"][name][key] for name in members_of(wildcards)}
            for key in keys
        }

    return spec


def people_of_members(wildcards):
    """Return who is the same person, for every member."""
    return {name: people_of(CONFIG, name) for name in members_of(wildcards)}
