"""Options from the keyword arguments of a Python function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, Literal

from cellucid_dask.errors import InputError, Problem, suggest
from cellucid_dask.options.argument_names import option_of
from cellucid_dask.options.argument_types import convert, type_problem
from cellucid_dask.options.export import ExportOptions
from cellucid_dask.options.formats import OF_EXPORT, find_useless_options
from cellucid_dask.options.jobs import JobOptions
from cellucid_dask.options.run import RunOptions
from cellucid_dask.options.serve import ServeOptions

SERVER_OPTIONS: Final = (ExportOptions, ServeOptions)
# Arguments of the servers of the reference that have another name here, or none.
REFERENCE_ARGUMENTS: Final = ("centroid_outlier_quantile", "normalize_embeddings")


def read_export_options(
    given: Mapping[str, Any],
) -> tuple[ExportOptions, RunOptions, list[Problem]]:
    """Make the options of an export and a run from keyword arguments; return every problem.

    The objects hold wrong values too, so that problems of the data can be found and reported
    together with them. Nothing may be written with such options.

    Parameters
    ----------
    given
        Fields of both classes, and of `JobOptions` with ``cluster`` or ``slurm=True``, which is
        ``cluster="slurm"``.
    """
    names = {f.name for f in fields(JobOptions)}
    given, problems = _choose_queue(given)
    jobs = {name: value for name, value in given.items() if name in names}
    rest: dict[str, Any] = {key: value for key, value in given.items() if key not in names}
    if "cluster" in jobs:
        rest["jobs"], of_jobs = JobOptions.from_keywords(jobs)
        problems, jobs = [*problems, *of_jobs], {}
    (export, run), more = make_options((ExportOptions, RunOptions), rest)
    useless = find_useless_options(rest, export.formats)
    problems = list(dict.fromkeys([*problems, *more, *useless]))
    without = ", ".join(option_of(name) for name, value in jobs.items() if value)
    if without:
        fix = "add --slurm, or --cluster with the name of another queue"
        problems.append(Problem("only together with --slurm or --cluster", without, fix))
    return export, run, problems


def _choose_queue(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the arguments with ``cluster`` for ``slurm=True``, and without it for no queue."""
    given = dict(given)
    slurm = given.pop("slurm", False)
    if given.get("cluster") is None:
        given.pop("cluster", None)
        if slurm is True:
            given["cluster"] = "slurm"
    elif slurm is True and given["cluster"] != "slurm":
        what = f"--slurm and --cluster {given['cluster']} cannot both be given"
        return given, [Problem(what, fix="leave one of them out")]
    if slurm not in (None, False, True):
        return given, [type_problem(slurm, bool, "--slurm")]
    return given, []


def read_serve_options(
    given: Mapping[str, Any],
) -> tuple[ExportOptions, ServeOptions, list[Problem]]:
    """Make the options of a server from keyword arguments; return every problem.

    Live data is served uncompressed by name, and as float32 unless ``quantize`` says otherwise.
    """
    given, problems = dict(given), []
    bits = given.pop("quantize", None)
    try:
        bits = convert(bits, Literal[8, 16] | None)
    except TypeError:
        problems.append(Problem(f"{bits!r} bits", "--quantize", "use 8 or 16"))
        bits = None
    fixed = {"compression": 0, "var_quantization": bits, "obs_quantization": bits}
    for key in fixed.keys() & given.keys():
        what, fix = "has no meaning for a server", "use --quantize for 8 or 16 bits"
        problems.append(Problem(what, repr(key), fix))
    for key in [name for name in OF_EXPORT if given.pop(name, None) is not None]:
        what, fix = "is of export: a server makes what the page asks for", "leave it out"
        problems.append(Problem(what, repr(key), fix))
    problems += _rename_reference_arguments(given)
    (export, serve), more = make_options(
        SERVER_OPTIONS, given | fixed, ("quantize", *REFERENCE_ARGUMENTS)
    )
    if export.citation_url is not None and not serve.speaks_ready:
        what = "has no use: only the public app shows it"
        fix = "leave it out, or use --protocol ready or --viewer hosted"
        problems.append(Problem(what, "--citation-url", fix))
    return export, serve, [*problems, *more]


def _rename_reference_arguments(given: dict[str, Any]) -> list[Problem]:
    """Rename arguments of the servers of the reference in place; return every problem."""
    problems = []
    reference_name, name = "centroid_outlier_quantile", "centroid_quantile"
    if reference_name in given:
        value = given.pop(reference_name)
        if name in given:
            what = "are two names of one argument"
            problems.append(Problem(what, f"{reference_name!r}, {name!r}", "give one of them"))
        given.setdefault(name, value)
    if given.pop("normalize_embeddings", True) is not True:
        what, fix = "embeddings are always normalized: the format has no other", "leave it out"
        problems.append(Problem(what, "'normalize_embeddings'", fix))
    return problems


def choose_data(data: Any, data_dir: Any, problems: Sequence[Problem]) -> tuple[Any, list[Problem]]:
    """Return the data, from our argument or from the one of the reference.

    Parameters
    ----------
    data, data_dir
        Values of the two arguments.
    problems
        Problems that are already known.

    Returns
    -------
    The data, and all problems.

    Raises
    ------
    InputError
        When neither is given.
    """
    if data is None and data_dir is None:
        nothing = Problem("there is nothing to serve", "data", "give a path or an AnnData")
        raise InputError.of([*problems, nothing])
    if data is None:
        return data_dir, [*problems]
    if data_dir is None:
        return data, [*problems]
    both = Problem("are two names of one argument", "'data', 'data_dir'", "give one of them")
    return data, [*problems, both]


def make_options(
    classes: Sequence[type[Any]], given: Mapping[str, Any], others: Iterable[str] = ()
) -> tuple[list[Any], list[Problem]]:
    """Make an object of each class from keyword arguments; return them, and every problem.

    Parameters
    ----------
    others
        Further names that are allowed; they are suggested for misspelled ones.
    """
    known = [{f.name for f in fields(cls)} for cls in classes]
    problems = find_unknown_options(given, set().union(*known, others))
    results = [
        cls.from_keywords({k: v for k, v in given.items() if k in names})
        for cls, names in zip(classes, known, strict=True)
    ]
    return [options for options, _ in results], problems + [
        p for _, wrong in results for p in wrong
    ]


def find_unknown_options(given: Iterable[str], known: Iterable[str]) -> list[Problem]:
    """Find the given names that are not options, and suggest the most similar ones."""
    options = sorted(known)
    return [
        Problem("there is no such option", repr(key), suggest(key, options))
        for key in given
        if key not in options
    ]
