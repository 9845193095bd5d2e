"""What publishing takes from the config: functions of wildcards, and how the store is reached."""

# It changes nothing that is made: scripts find it in the config, not in `params`.
config["publish"] = CONFIG["publish"]


def license_allowed(wildcards):
    """Return whether a dataset is published whatever its licence says."""
    return wildcards.dataset in CONFIG["allow_license"]
