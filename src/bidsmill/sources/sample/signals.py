"""Simulated EEG: dipoles in a spherical head, 1/f background, alpha, responses, blinks, line.

The head is MNE's spherical model with four shells (``mne.make_sphere_model``), so nothing is
downloaded; the topographies come from ``mne.make_forward_dipole``, computed once, and the
sensors from ``mne.simulation.simulate_raw``. Random numbers come from ``design.generator``
rather than from MNE's own artefact functions, whose random arguments differ between versions.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from bidsmill.sources.sample import design

CENTRE = np.array([0.0, 0.0, 0.04])  # m; the origin lies between the ears
RADIUS = 0.095  # m, of the scalp
# Idealised 10-20 positions on the sphere: degrees from the vertex, degrees from the right ear
# counter-clockwise as seen from above.
ANGLES = {
    "Fp1": (90, 108),
    "Fp2": (90, 72),
    "F7": (90, 144),
    "F3": (60, 129),
    "Fz": (45, 90),
    "F4": (60, 51),
    "F8": (90, 36),
    "T7": (90, 180),
    "C3": (45, 180),
    "Cz": (0, 0),
    "C4": (45, 0),
    "T8": (90, 0),
    "P7": (90, 216),
    "P3": (60, 231),
    "Pz": (45, 270),
    "P4": (60, 309),
    "P8": (90, 324),
    "O1": (90, 252),
    "O2": (90, 288),
    "FCz": (22.5, 90),
}
REFERENCE = "FCz"
EEG = tuple(name for name in ANGLES if name != REFERENCE)
EOG = "VEOG"
LINE_FREQUENCY = 50.0  # Hz
HIGH_PASS, LOW_PASS = 0.1, 100.0  # Hz, of the imagined amplifier
BACKGROUND_SOURCES = 40
BACKGROUND_RMS = 8.0  # uV, root mean square over the EEG channels

# Regions under an electrode: share of the scalp radius at which the (radial) dipole lies.
REGIONS = {"O1": 0.7, "O2": 0.7, "P7": 0.75, "P8": 0.75, "Pz": 0.55}
# Responses to a picture, uV at the electrode above the dipole: region, latency (s), width as
# standard deviation (s), face, scrambled. The larger N170 to faces: Bentin et al. 1996,
# J Cogn Neurosci 8:551-565, doi:10.1162/jocn.1996.8.6.551.
COMPONENTS = (
    ("O1", 0.105, 0.015, 5.0, 5.5),
    ("O2", 0.105, 0.015, 6.0, 6.5),
    ("P7", 0.170, 0.018, -7.0, -2.5),
    ("P8", 0.170, 0.018, -8.5, -3.0),
    ("O1", 0.230, 0.030, 3.0, 2.5),
    ("O2", 0.230, 0.030, 3.0, 2.5),
    ("Pz", 0.400, 0.080, 6.0, 5.0),
)
ALPHA = {"O1": 6.5, "O2": 7.5, "Pz": 3.5}  # uV rms at the electrode above
BLINK = 130.0  # uV at Fp1 and Fp2
BLINK_AT_EOG = 2.2  # the bipolar EOG against Fp1
BLINKS_PER_MINUTE = (8.0, 18.0)


def positions() -> dict[str, np.ndarray]:
    """Return the position of every electrode and of the reference in metres (CapTrak axes)."""
    places = {}
    for name, (from_vertex, from_right) in ANGLES.items():
        tilt, turn = np.radians(from_vertex), np.radians(from_right)
        direction = [np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)]
        places[name] = CENTRE + RADIUS * np.array(direction)
    return places


def landmarks() -> dict[str, np.ndarray]:
    """Return nasion and preauricular points: where the axes leave the sphere at height 0."""
    ear = float(np.sqrt(RADIUS**2 - CENTRE[2] ** 2))
    return {
        "NAS": np.array([0.0, ear, 0.0]),
        "LPA": np.array([-ear, 0.0, 0.0]),
        "RPA": np.array([ear, 0.0, 0.0]),
    }


def simulate(recording: design.Recording) -> np.ndarray:
    """Return the signals of one recording.

    Parameters
    ----------
    recording : Recording
        Whose design (rate, events, group) the signals follow.

    Returns
    -------
    ndarray, shape (20, n_samples), float64
        The 19 EEG channels against FCz and the EOG, in microvolts.
    """
    rate = recording.subject.rate
    n_samples = design.duration(recording) * rate
    rng = design.generator(f"{recording.stem} eeg")
    courses = np.zeros((len(_dipoles()[0]), n_samples))
    for region, course in _regions(recording, rng, n_samples).items():
        courses[list(REGIONS).index(region)] = course
    blinks = _blinks(recording, rng, n_samples)
    courses[len(REGIONS) : len(REGIONS) + 2] = BLINK / 2 * blinks
    for row in range(len(REGIONS) + 2, len(courses)):
        courses[row] = shaped_noise(rng, n_samples, rate, _one_over_f)
    eeg = _project(courses, rate)
    eog = BLINK_AT_EOG * BLINK * blinks
    eog += 12 * shaped_noise(rng, n_samples, rate, _one_over_f)
    signals = np.vstack([eeg, eog]) + _amplifier(rng, n_samples, rate)
    bad = design.BAD_CHANNELS.get(recording.stem)
    if bad is not None:
        signals[EEG.index(bad)] += _loose_electrode(rng, n_samples, rate)
    return signals


def shaped_noise(rng, n_samples, rate, spectrum):
    """Return Gaussian noise of unit variance whose amplitude follows ``spectrum(frequency)``."""
    amplitude = spectrum(np.fft.rfftfreq(n_samples, 1 / rate))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n_samples)) * amplitude, n_samples)
    return noise / noise.std()


def _one_over_f(frequency):
    """Return the amplitude of background EEG: power falls as f**-1.6, high-passed."""
    high_pass = frequency / np.hypot(frequency, HIGH_PASS)
    return high_pass * (frequency + 1) ** -0.8


def _flat(frequency):
    """Return the amplitude of white noise behind the low-pass of the amplifier."""
    return 1 / np.sqrt(1 + (frequency / LOW_PASS) ** 8)


def _regions(recording, rng, n_samples):
    """Return the time courses (uV) of alpha and of the responses under each electrode."""
    rate, patient = recording.subject.rate, recording.subject.group == "patient"
    person = design.generator(f"sub-{recording.subject.label}")
    frequency = person.normal(10.2, 0.2) - (0.4 if patient else 0.0)
    alpha_size, response_size = person.uniform(0.7, 1.3), person.uniform(0.8, 1.2)
    delay = person.normal(0, 0.003) + (0.006 if patient else 0.0)

    def band(grid):
        # A narrow band of noise waxes and wanes, as alpha does.
        return np.exp(-0.5 * ((grid - frequency) / 0.5) ** 2)

    courses = {region: np.zeros(n_samples) for region in REGIONS}
    common = shaped_noise(rng, n_samples, rate, band)
    for region, size in ALPHA.items():
        own = shaped_noise(rng, n_samples, rate, band)
        courses[region] += size * alpha_size * (0.8 * common + 0.6 * own)
    times = np.arange(n_samples) / rate
    for event in design.events(recording):
        if event.trial_type == "response":
            continue
        size, late = response_size * rng.uniform(0.75, 1.25), delay + rng.normal(0, 0.005)
        window = slice(round(event.onset * rate), round((event.onset + 0.9) * rate))
        for region, latency, width, face, scrambled in COMPONENTS:
            peak = size * (face if event.trial_type == "face" else scrambled)
            since = times[window] - event.onset - latency - late
            courses[region][window] += peak * np.exp(-0.5 * (since / width) ** 2)
    return courses


def _blinks(recording, rng, n_samples):
    """Return blinks of height about 1, 0.3 s long, at random times at least 0.8 s apart."""
    rate, person = recording.subject.rate, design.generator(f"sub-{recording.subject.label} blinks")
    gap = 60 / person.uniform(*BLINKS_PER_MINUTE)
    impulses = np.zeros(n_samples)
    time = rng.exponential(gap)
    while time < n_samples / rate - 0.5:
        impulses[round(time * rate)] = rng.uniform(0.7, 1.2)
        time += 0.8 + rng.exponential(gap - 0.8)
    return np.convolve(impulses, np.hanning(round(0.3 * rate)), "same")


def _amplifier(rng, n_samples, rate):
    """Return what every channel picks up by itself (uV): noise, muscle, slow drift and line."""
    times = np.arange(n_samples) / rate
    rows = []
    for name in (*EEG, EOG):
        muscle = 2.2 if name in ("T7", "T8", "F7", "F8", "Fp1", "Fp2") else 0.8
        row = muscle * shaped_noise(rng, n_samples, rate, _flat)
        row += 2.5 * shaped_noise(rng, n_samples, rate, _slow)
        swell = 1 + 0.15 * np.sin(2 * np.pi * 0.05 * times + rng.uniform(0, 2 * np.pi))
        phase = 2 * np.pi * LINE_FREQUENCY * times + rng.normal(0, 0.5)
        rows.append(row + rng.uniform(1, 2) * swell * np.sin(phase))
    return np.array(rows)


def _slow(frequency):
    """Return the amplitude of drift: skin potentials and sweat, below 1 Hz."""
    return _one_over_f(frequency) * np.exp(-((frequency / 0.5) ** 2))


def _loose_electrode(rng, n_samples, rate):
    """Return the noise (uV) of an electrode that has lost contact: drift, hiss and jumps."""
    jumps = np.where(rng.random(n_samples) < 0.4 / rate, rng.normal(0, 120, n_samples), 0)
    decay = np.exp(-np.arange(2 * rate) / (0.5 * rate))
    steps = np.convolve(jumps, decay)[:n_samples]
    hiss = 25 * shaped_noise(rng, n_samples, rate, _flat)
    return steps + hiss + 60 * shaped_noise(rng, n_samples, rate, _slow)


@cache
def _dipoles():
    """Return positions (m) and unit directions of all dipoles: regions, eyes, background."""
    places, directions = [], []
    for electrode, depth in REGIONS.items():
        outward = (positions()[electrode] - CENTRE) / RADIUS
        places.append(CENTRE + depth * RADIUS * outward)
        directions.append(outward)
    for side in (-1, 1):
        # Eyes below the forehead; lids slide over a cornea that is positive: outwards and up.
        outward = np.array([side * 0.4, 0.84, -0.36]) / np.linalg.norm([0.4, 0.84, 0.36])
        places.append(CENTRE + 0.8 * RADIUS * outward)
        upward = outward + np.array([0, 0, 0.4])
        directions.append(upward / np.linalg.norm(upward))
    rng = design.generator("cortex")
    while len(places) < len(REGIONS) + 2 + BACKGROUND_SOURCES:
        outward, direction = rng.standard_normal((2, 3))
        outward /= np.linalg.norm(outward)
        if outward[2] > -0.35:  # below lies no cortex
            places.append(CENTRE + rng.uniform(0.65, 0.85) * RADIUS * outward)
            directions.append(direction / np.linalg.norm(direction))
    return np.array(places), np.array(directions)


def _info(rate):
    """Return an MNE info with the EEG channels and the reference electrode."""
    import mne

    marks = landmarks()
    montage = mne.channels.make_dig_montage(
        positions(), marks["NAS"], marks["LPA"], marks["RPA"], coord_frame="head"
    )
    return mne.create_info(list(ANGLES), rate, "eeg").set_montage(montage)


@cache
def _head():
    """Return the forward solution and, for each dipole, the current (A m) of one unit.

    The unit is 1 uV at the electrode above a region, 1 uV at Fp1 or Fp2 for the two eyes
    together, and for the background dipoles what adds up to ``BACKGROUND_RMS`` over channels.
    """
    import mne

    places, directions = _dipoles()
    count = np.ones(len(places))
    dipoles = mne.Dipole(np.arange(len(places)), places, 1e-9 * count, directions, 100 * count)
    sphere = mne.make_sphere_model(CENTRE, RADIUS, verbose="error")
    forward, _ = mne.make_forward_dipole(dipoles, sphere, _info(250), verbose="error")
    names = list(forward["sol"]["row_names"])
    gain = forward["sol"]["data"] - forward["sol"]["data"][names.index(REFERENCE)]
    gain = 1e6 * gain[[names.index(name) for name in EEG]]  # uV per A m, against the reference
    region = [1 / gain[EEG.index(name), row] for row, name in enumerate(REGIONS)]
    eyes = slice(len(REGIONS), len(REGIONS) + 2)
    eye = 2 / gain[[EEG.index("Fp1"), EEG.index("Fp2")], eyes].sum(axis=0).mean()
    background = gain[:, eyes.stop :]
    background = background / np.linalg.norm(background, axis=0)  # each counts the same
    power = np.sqrt((background**2).sum(axis=1).mean())
    scale = BACKGROUND_RMS / power / np.linalg.norm(gain[:, eyes.stop :], axis=0)
    return forward, np.array([*region, eye, eye, *scale])


def _project(courses, rate):
    """Return the EEG (uV, against the reference) of dipole time courses in their units."""
    import mne

    forward, unit = _head()
    estimate = mne.VolSourceEstimate(
        courses * unit[:, np.newaxis], [np.arange(len(courses))], tmin=0, tstep=1 / rate
    )
    raw = mne.simulation.simulate_raw(_info(rate), estimate, forward=forward, verbose="error")
    raw.set_eeg_reference([REFERENCE], verbose="error")
    return 1e6 * raw.get_data(picks=list(EEG))
