"""From facts of the machine to findings."""

from collections.abc import Iterator, Mapping, Sequence

from glnet.doctor.facts import Memory, Place, Processor
from glnet.doctor.finding import Finding
from glnet.engines.threads import granted
from glnet.recipe.amounts import show_bytes

#: Libraries and their threads take as much before anything is predicted.
_LEAST_MEMORY = 300 << 20

#: A mask of a large raster, its parts and its overviews.
_LITTLE_DISK = 1 << 30

#: GDAL holds as many parts of a mask open, and libraries some more files.
_FEW_FILES = 512

#: What leads GDAL or PROJ to data of another installation.
_ELSEWHERE = ("PROJ_LIB", "PROJ_DATA", "GDAL_DATA", "GDAL_DRIVER_PATH")

#: By which threads are placed or may be had twice.
_THREADS = ("KMP_", "GOMP_", "OMP_")

#: By which GDAL changes what it does; those that rasterio sets itself end so.
_GDAL, _OWN = ("GDAL_", "CPL_", "OGR_", "GTIFF_", "VSI_", "PROJ_"), "_CA_BUNDLE"


def judge_processor(
    facts: Processor, name: str, arithmetic: Sequence[str], variables: Mapping[str, str]
) -> Iterator[Finding]:
    """Threads, and precisions that make sense.

    Args:
        facts: Of it.
        name: What it calls itself; empty: not known.
        arithmetic: That OpenVINO uses on it; empty: not known.
        variables: The environment's.
    """
    topic = "processor"
    why = "OMP_NUM_THREADS" if facts.told == str(facts.threads) else "all that may be used"
    what = f"{name or 'unknown'}, {facts.usable} of {facts.cores} cores usable"
    yield Finding(topic, "ok", f"{what}; glnet computes with {facts.threads} threads ({why})")
    if facts.told and not (facts.told.isdigit() and int(facts.told)):
        what = f"OMP_NUM_THREADS={facts.told} is no number of threads; glnet takes no notice of it"
        yield Finding(topic, "note", what, "set it to one number, or unset it")
    own = granted(facts.usable, facts.quota)
    if facts.threads > own:
        limit = f"{own} cores" if facts.quota is None else f"{facts.quota:g} cores' time"
        what = f"{facts.threads} threads share {limit}: they wait for each other"
        yield Finding(topic, "note", what, f"set OMP_NUM_THREADS={own}")
    elif facts.threads < own:
        what = f"of {own} cores {facts.threads} are used"
        yield Finding(topic, "note", what, "unset OMP_NUM_THREADS to use them")
    placed = [f"{key}={variables[key]}" for key in sorted(variables) if key.startswith(_THREADS)]
    placed = [each for each in placed if not each.startswith("OMP_NUM_THREADS=")]
    if placed:
        what = f"{', '.join(placed)}: changes how threads run"
        yield Finding(topic, "note", what, "unset them unless you measured a gain")
    if arithmetic:
        yield from _precisions(topic, arithmetic)


def _precisions(topic: str, arithmetic: Sequence[str]) -> Iterator[Finding]:
    fast = {"BF16": "--precision bf16", "INT8": "--precision int8 (after glnet export --int8)"}
    known = [how for kind, how in fast.items() if kind in arithmetic]
    lacks = [how.split()[1] for kind, how in fast.items() if kind not in arithmetic]
    text = f"besides fp32: {', '.join(known) or 'nothing'}"
    if lacks:
        text += f"; not here: {', '.join(lacks)}"
    advice = "glnet predict --advise tries them on an image" if known else ""
    yield Finding(topic, "ok", text, advice)


def judge_memory(facts: Memory, budget: int) -> Iterator[Finding]:
    """Is there room for a budget?"""
    room = facts.room
    if room is None:
        yield Finding("memory", "note", "the system does not tell how much there is")
        return
    parts = [] if facts.total is None else [f"{show_bytes(facts.total)} in all"]
    if facts.limit is not None:
        parts.append(f"a container's limit of {show_bytes(facts.limit)}")
    what = f"{show_bytes(room)} can be had ({', '.join(parts) or 'of what is not told'})"
    wanted = f"predicting takes up to --memory {show_bytes(budget)}"
    if room < _LEAST_MEMORY:
        advice = "close other programs, or raise the container's limit"
        yield Finding("memory", "problem", f"{what}: too little for any model", advice, stops=True)
    elif room < budget:
        fits = f"say --memory {room * 3 // 4 >> 20}MiB, or close other programs"
        yield Finding("memory", "note", f"{what}; {wanted}", fits)
    else:
        yield Finding("memory", "ok", f"{what}; {wanted}")


def judge_place(facts: Place) -> Iterator[Finding]:
    """Can masks be written there, by one process at a time?"""
    name = f"{facts.what} {facts.path}"
    if facts.error:
        advice = "name another with --folder" if facts.needed else "set TMPDIR to another"
        level = "problem" if facts.needed else "note"
        what = f"{name}: cannot be written ({facts.error})"
        yield Finding("disk", level, what, advice, stops=facts.needed)  # type: ignore[arg-type]
        return
    what = name if facts.free is None else f"{name}: {show_bytes(facts.free)} free"
    if facts.lock and facts.needed:
        what = f"{name}: files cannot be locked there ({facts.lock})"
        yield Finding("disk", "problem", what, "write masks to a local disk", stops=True)
    elif not facts.seen and facts.needed:
        what = f"{name}: locks do not keep other processes out, as on some shared folders"
        advice = "never start two commands for one output there, or write to a local disk"
        yield Finding("disk", "note", what, advice)
    elif facts.free is not None and facts.free < _LITTLE_DISK:
        yield Finding("disk", "note", what, "make room: a mask and its parts lie there together")
    else:
        yield Finding("disk", "ok", f"{what}, writable" + (", locks hold" if facts.seen else ""))


def judge_settings(variables: Mapping[str, str], proj: str, files: int | None) -> Iterator[Finding]:
    """What the environment tells GDAL and PROJ.

    Args:
        variables: The environment's.
        proj: Why coordinate systems are not known here; empty: they are.
        files: How many may be open; None: no limit is known.
    """
    topic = "settings"
    led = [f"{key}={variables[key]}" for key in _ELSEWHERE if variables.get(key)]
    unset = "unset " + " ".join(key for key in _ELSEWHERE if variables.get(key))
    if proj:
        what = f"coordinate systems cannot be read: {proj}"
        if led:
            what += f"; {', '.join(led)} may be of another installation (conda, QGIS, OSGeo4W)"
        advice = unset if led else "pip install --force-reinstall rasterio"
        yield Finding(topic, "problem", what, advice, stops=True)
    elif led:
        what = f"{', '.join(led)}: rasterio brings its own; data of another release fail"
        yield Finding(topic, "note", what, unset)
    others = {
        key: variables[key]
        for key in sorted(variables)
        if key.startswith(_GDAL) and key not in _ELSEWHERE and not key.endswith(_OWN)
    }
    for key, what in (
        ("GDAL_CACHEMAX", "predicting sets its own, other commands obey: outside of --memory"),
        ("GDAL_NUM_THREADS", "GDAL packs with as many threads, each with memory of its own"),
    ):
        if key in others:
            yield Finding(topic, "note", f"{key}={others.pop(key)}: {what}", f"unset {key}")
    if others:
        what = ", ".join(f"{key}={value}" for key, value in others.items())
        advice = "unset what you do not need: it may change what is read"
        yield Finding(topic, "note", f"{what}: GDAL obeys", advice)
    if files is not None and files < _FEW_FILES:
        what = f"only {files} files may be open at a time: a mask of many parts needs more"
        yield Finding(topic, "note", what, f"ulimit -n {_FEW_FILES * 2}")
    if not (proj or led or others):
        yield Finding(topic, "ok", "coordinate systems are known; nothing changes what GDAL does")
