"""The command `bidsmill extract-labeled-data`: a dataset of spikes as `.mat` files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.numbers import at_least_one
from bidsmill.simulate.anatomy.source_columns import COLUMNS, ROWS
from bidsmill.simulate.export.label_rows import MAX_SIZE, PADDING
from bidsmill.simulate.sources.clip_numbers import WORDS
from bidsmill.simulate.spikes.sensor_noise import MODELS, NoiseSettings

if TYPE_CHECKING:
    from bidsmill.formats.leadfield import LeadField
    from bidsmill.simulate.clips.bank import ClipBank
    from bidsmill.simulate.clips.files import ClipFiles
    from bidsmill.simulate.export.inputs import Labelled
    from bidsmill.simulate.export.mat_files import Extraction

DATASET = Path("source") / "train_sample_source1.mat"
OUTPUT = Path("output") / "labeled_spikes_data"
FORWARD = Path("anatomy") / "leadfield_75_20k.mat"
# Rows of the table of failures that are printed; the file has all.
MOST_SHOWN = 20
# What a dataset of bidsmill has settled when it was made.
SETTLED = (
    *("forward_model", "forward_key", "forward_layout", "sensors", "clips", "sfreq", "noise"),
    *("noise_file", "seed", "numbering", "clips_per_region", "source_snr", "recompute_scale"),
)


def add_extract_command(commands: argparse._SubParsersAction) -> None:
    """Add `extract-labeled-data` to the commands of `bidsmill`."""
    extract = commands.add_parser(
        "extract-labeled-data",
        help="write simulated spikes as the .mat files that source-imaging networks read",
        description="Write OUTPUT_DIR/sample_00000.mat and so on, each with eeg_data, source_data,"
        " labels, snr and index: from a dataset that a .mat file describes (DeepSIF's"
        " train_sample_source1.mat) and its clips, or from one that bidsmill simulated.",
        epilog="example: bidsmill extract-labeled-data --dataset_len 100 --start_idx 100",
    )
    extract.add_argument(
        "--dataset_path",
        type=Path,
        default=DATASET,
        metavar="PATH",
        help=f"the .mat file, or results/DATASET of bidsmill (default: {DATASET})",
    )
    extract.add_argument(
        "--output_dir", type=Path, default=OUTPUT, metavar="FOLDER", help=f"default: {OUTPUT}"
    )
    extract.add_argument(
        "--dataset_len",
        type=at_least_one,
        metavar="N",
        help="how many samples; all that follow if absent",
    )
    extract.add_argument(
        "--start_idx", type=int, default=0, metavar="I", help="the first sample (default: 0)"
    )
    _add_output_options(extract)
    _add_described_options(extract)
    extract.set_defaults(action=_extract)


def _add_output_options(extract: argparse.ArgumentParser) -> None:
    extract.add_argument(
        "--padding",
        type=int,
        default=PADDING,
        metavar="ID",
        help=f"fills the rows of labels, e.g. -1 (default: {PADDING})",
    )
    extract.add_argument(
        "--max_size",
        type=at_least_one,
        default=MAX_SIZE,
        metavar="N",
        help=f"places in a row of labels (default: {MAX_SIZE})",
    )
    extract.add_argument("--compress", action="store_true", help="smaller files, written slower")
    extract.add_argument(
        "--keep-going",
        "--keep_going",
        action="store_true",
        help="leave with 0 although samples failed",
    )
    extract.add_argument(
        "--source_table",
        type=Path,
        metavar="FILE",
        help="table of sources of a dataset of bidsmill (default: sources.parquet beside it)",
    )


def _add_described_options(extract: argparse.ArgumentParser) -> None:
    """Add options for described datasets; they are None where nobody has set them."""
    described = extract.add_argument_group("for datasets that a .mat file describes")
    described.add_argument(
        "--forward_model", type=Path, metavar="FILE", help=f"the lead field (default: {FORWARD})"
    )
    described.add_argument("--forward_key", metavar="NAME", help="its variable in the file")
    described.add_argument("--forward_layout", choices=(ROWS, COLUMNS), help="if sizes do not tell")
    described.add_argument(
        "--sensors", choices=("eeg", "mag", "grad"), help="their type (default: eeg)"
    )
    described.add_argument(
        "--clips",
        type=Path,
        metavar="FOLDER",
        help="clips as a{region}/nmm_{number}.mat, or a clip bank of bidsmill"
        " (default: nmm_spikes beside the .mat file)",
    )
    described.add_argument(
        "--sfreq", type=float, metavar="HZ", help="rate of such clips (default: 500)"
    )
    described.add_argument("--noise", choices=MODELS, help="of the sensors (default: white)")
    described.add_argument(
        "--noise_file", type=Path, metavar="FILE", help="recorded segments, for --noise recorded"
    )
    described.add_argument("--seed", type=int, metavar="N", help="of the noise (default: 0)")
    described.add_argument(
        "--numbering", choices=("auto", *WORDS), help="formula of nmm_idx (default: auto)"
    )
    described.add_argument(
        "--clips_per_region", type=at_least_one, metavar="N", help="nper, if nmm_idx does not tell"
    )
    described.add_argument(
        "--source_snr",
        type=float,
        nargs="+",
        metavar="DB",
        help="what each column of scale_ratio was made for (default: 10 12 14 16 18 20, or 10 15)",
    )
    described.add_argument(
        "--recompute_scale",
        action="store_true",
        default=None,
        help="find every scale_ratio anew, not only those that are NaN",
    )


def _extract(options: argparse.Namespace) -> Iterator[str]:
    """Run the command."""
    from bidsmill.simulate.export.mat_files import ExportSettings, export_samples, select

    with _memory_explained():
        if options.dataset_path.is_dir():
            labelled, forward = _simulated(options), ""
            unused = [f"--{name}" for name in SETTLED if getattr(options, name) is not None]
            if unused:
                yield f"{', '.join(unused)}: not used, the samples of this dataset are finished"
        else:
            labelled, notes = _described(options)
            forward = _name(options.forward_model or FORWARD)
            yield from notes
        chosen = select(labelled.total, options.start_idx, options.dataset_len)
        yield f"samples {chosen[0]} to {chosen[-1]} of {labelled.total}: {options.output_dir}"
        with _bar(len(chosen)) as progress:
            extraction = export_samples(
                labelled,
                options.output_dir,
                chosen,
                ExportSettings(options.padding, options.max_size, options.compress),
                names=(_name(options.dataset_path), forward),
                progress=progress,
            )
    yield from _table(extraction, options.output_dir)
    yield f"{extraction.extracted} samples extracted, {len(extraction.failed)} failed"
    if extraction.failed and not (options.keep_going and extraction.extracted):
        raise BidsmillError(
            f"{len(extraction.failed)} of {len(chosen)} samples could not be extracted",
            file=options.output_dir / "failed.tsv",
            found=extraction.failed[0]["message"],
            todo="remove the cause, and run the command again"
            + ("; or go on without them: --keep-going" if extraction.extracted else ""),
        )


def _name(path: Path) -> str:
    """Return a path for the metadata: without the folders of this machine."""
    return path.name if path.is_absolute() else path.as_posix()


def _simulated(options: argparse.Namespace) -> Labelled:
    from bidsmill.simulate.export.inputs import SimulatedSamples

    return SimulatedSamples(options.dataset_path, options.source_table)


def _described(options: argparse.Namespace) -> tuple[Labelled, list[str]]:
    """Return the samples that a file describes, and what was decided about it."""
    from bidsmill.formats.files import sha256_file
    from bidsmill.simulate.export.inputs import DescribedSamples
    from bidsmill.simulate.sources.described import read_described
    from bidsmill.simulate.spikes.making import SpikeMaker
    from bidsmill.simulate.spikes.noise_segments import segments_of_variables

    root = options.clips or options.dataset_path.parent / "nmm_spikes"
    leadfield, bank = _forward(options, root)
    seed = options.seed or 0
    understood = {
        "numbering": options.numbering or "auto",
        "clips_per_region": options.clips_per_region,
        "source_snr": None if options.source_snr is None else tuple(options.source_snr),
        "recompute": bool(options.recompute_scale),
    }
    described = read_described(
        options.dataset_path,
        leadfield.matrix.shape[1],
        seed=seed,
        start=max(options.start_idx, 0),
        stop=None if options.dataset_len is None else options.start_idx + options.dataset_len,
        **understood,
    )
    forward, clips, sfreq = _clips(options, root, leadfield, bank)
    noise = NoiseSettings(options.noise or "white")
    segments = None
    if options.noise_file is not None:
        segments = segments_of_variables(options.noise_file, len(leadfield.matrix))
    # There are no sides here: all segments may be used for each sample.
    maker = SpikeMaker(forward, clips, sfreq, seed, noise, segments, test=0.0)
    facts: dict[str, Any] = {"dataset": sha256_file(options.dataset_path), **understood}
    notes = [f"{text} ({count})" for text, count in sorted(described.notes.items())]
    return DescribedSamples(described, maker, facts), notes


def _forward(options: argparse.Namespace, root: Path) -> tuple[LeadField, ClipBank | None]:
    """Return the lead field, and the clips if they are a bank: both must have the same regions."""
    from bidsmill.simulate.anatomy.loading import find_key, load_leadfield
    from bidsmill.simulate.clips.bank import ClipBank
    from bidsmill.simulate.clips.files import n_regions_of_clips
    from bidsmill.simulate.variables.matrix_files import read_variables

    path = options.forward_model or FORWARD
    if not path.name.endswith((".fif", ".fif.gz", ".h5", ".npz")):
        # Told before the clips are looked for, which say how many regions there are.
        find_key(read_variables(path), options.forward_key, path)
    bank = ClipBank(root) if (root / "bank.json").is_file() else None
    leadfield = load_leadfield(
        path,
        key=options.forward_key,
        n_regions=n_regions_of_clips(root) if bank is None else bank.n_regions,
        layout=options.forward_layout,
        kind=options.sensors or "eeg",
    )
    return leadfield, bank


def _clips(
    options: argparse.Namespace, root: Path, leadfield: LeadField, bank: ClipBank | None
) -> tuple[Any, ClipFiles | Any, float]:
    """Return lead field and clips as the projection wants them, and the rate of the clips."""
    from bidsmill.simulate.clips.files import ClipFiles
    from bidsmill.simulate.spikes.waveforms import forward_of, spike_maker

    if bank is not None:
        made = spike_maker(leadfield, bank, 0)
        return made.forward, made.clips, bank.sfreq
    forward = forward_of(leadfield)
    return forward, ClipFiles(root, forward.matrix), float(options.sfreq or 500)


@contextmanager
def _memory_explained() -> Iterator[None]:
    """Tell what to do about too little memory."""
    try:
        yield
    except (MemoryError, BidsmillError) as error:
        # A reader may have told it as a file that cannot be read.
        if not any(isinstance(e, MemoryError) for e in (error, error.__context__)):
            raise
        raise BidsmillError(
            "there is too little memory",
            found=error,
            todo="extract in batches, which add up to the same files: --dataset_len 1000"
            " --start_idx 0, then --start_idx 1000, and so on; or end other programs",
        ) from None


@contextmanager
def _bar(total: int) -> Iterator[Any]:
    """Show a bar in a terminal; elsewhere nothing."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="extract", unit="sample", file=sys.stderr) as bar:
        yield lambda: bar.update(1)


def _table(extraction: Extraction, folder: Path) -> Iterator[str]:
    """Yield the failures as a table."""
    if not extraction.failed:
        return
    width = max(len(failure["reason"]) for failure in extraction.failed[:MOST_SHOWN])
    yield f"{'sample':>8}  {'reason':<{width}}  message"
    for failure in extraction.failed[:MOST_SHOWN]:
        yield f"{failure['sample']:>8}  {failure['reason']:<{width}}  {failure['message']}"
    more = len(extraction.failed) - MOST_SHOWN
    if more > 0:
        yield f"and {more} more: {folder / 'failed.tsv'}"
