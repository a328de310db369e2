"""`./webui.sh train`: an embedding from photos. The same command again goes on with a run that was cut short."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.app import App
from modules.cli.arguments import SERVER_FLAGS, Parser
from modules.cli.create import add_start
from modules.cli.following import follow, say
from modules.cli.host import hosted, load
from modules.cli.run_model import named_run, with_checkpoint
from modules.errors import FileFormatError, ParameterError
from modules.files import folder_of, typed_path
from modules.flags import Flags
from modules.training import plan
from modules.training.photos import photo_files
from modules.training.run_folder import Run, find_runs, require_free
from modules.training.settings_file import read_settings
from modules.training.whereabouts import before_resuming, listed
from modules.training_params import PRESETS, TrainParams, advise

_SEEDS = ("seed", "preview_seed")


def run(arguments: Sequence[str]) -> int:
    """Train, or go on training. Returns the exit code; Ctrl-C stops the run and keeps it."""
    parser = _parser()
    values, flags = parser.read(arguments)
    folder, settings = values.pop("resume", None), values.pop("settings", None)
    preset, afresh = values.pop("preset", None), values.pop("afresh")
    start = {name: values.pop(name) for name in ("init_text", "vectors_per_token") if name in values}
    if folder:
        return _resume(folder, values, flags)
    if settings and preset:
        raise ParameterError("--preset", "Give --settings or --preset: a settings file says everything already.")
    stored = _stored(settings) if settings else {}
    first = TrainParams(**{**stored, **values})
    plan.check(first, flags.paths())  # refused before a model is loaded
    require_free(plan.log_root(first, flags.paths()), first.embedding)
    with hosted(flags) as app:
        load(app)
        params = first if settings else _advised(app, values, preset or "face")
        same = None if afresh else _same_run(app, params, {} if settings else values, preset or "face")
        if same:
            if gone := before_resuming(same.folder, app.paths.data, params.data_root):
                say(gone)
            say(f"Going on with the run in {same.folder.path}, at step {same.step}; --afresh would start another.")
            return follow(app.training.resume(same.folder.path, data_root=params.data_root))
        if start and not _exists(app, params.embedding):
            begin = (start.get("init_text", "*"), start.get("vectors_per_token", 1))
            if code := follow(app.training.create(params.embedding, *begin), more=True):
                return code
        return follow(app.training.begin(params))


def _parser() -> Parser:
    parser = Parser(
        "train",
        "Train an embedding on a folder of photos. What is not given suits the number of photos and the model. The "
        f"same command again goes on with a run that was stopped or killed. {SERVER_FLAGS}",
        ("embedding", "data-root"),
    )
    parser.add_argument("--settings", type=typed_path, metavar="FILE", help="settings-….json of a run, ours or A1111's")
    parser.add_argument("--preset", choices=PRESETS, help="what the photos show (default: face)")
    parser.add_argument("--resume", type=typed_path, metavar="FOLDER", help="go on with the run in this folder")
    parser.add_argument("--afresh", action="store_true", help="start another run, even if one could be resumed")
    add_start(parser)
    parser.add_fields(TrainParams)
    return parser


def _resume(folder: Path, values: Mapping[str, Any], flags: Flags) -> int:
    others = [name for name in values if name != "data_root"]
    if others:
        name = "--" + others[0].replace("_", "-")
        raise ParameterError(name, f"{name} cannot be changed in a run that goes on: only --data-root can.")
    path = folder.absolute()
    with hosted(with_checkpoint(flags, named_run(path, "--resume"))) as app:
        load(app)
        return follow(app.training.resume(path, data_root=values.get("data_root", "")))


def _stored(settings: Path) -> dict[str, Any]:
    """The values of a settings file.

    Raises:
        ParameterError: it is none.
    """
    try:
        return read_settings(settings)
    except FileFormatError as error:
        raise ParameterError("--settings", f"--settings: {error}") from error


def _advised(app: App, values: Mapping[str, Any], preset: str, count: int = 0) -> TrainParams:
    """What is not given suits the number of photos: of those that are there, or `count`."""
    count = count or len(photo_files(folder_of(str(values["data_root"]), "data_root")))
    advised = advise(count, preset, app.model_state.native_size).values
    return TrainParams(**{"file_format": app.settings.embedding_format, **advised, **values})


def _same_run(app: App, params: TrainParams, values: Mapping[str, Any], preset: str) -> Run | None:
    """The newest run with these parameters that was stopped or killed; its photos may lie elsewhere by now.

    Args:
        values: as they were given, if the others suit the number of photos: of which some may be gone by now.

    Raises:
        ParameterError: the only such run learned from photos of which some are gone.
    """
    photos = folder_of(params.data_root, "data_root")
    here = {path.name for path in photo_files(photos)}
    lacking = ""
    for run in find_runs(plan.log_root(params, app.paths)):
        about = run.folder.about()
        learned, aside = ({*map(str, about.get(which, ()))} for which in ("photos", "held_out"))
        gone, unseen = sorted(learned - here), len((learned | aside) - here)
        gone = [name for name in gone if not (photos / name).is_file()]  # an overview: runs learned from those once
        then = [params]
        if values and unseen:
            then.append(_advised(app, values, preset, len(here) + unseen))
        if not run.may_go_on or not any(_is_same(about.get("params") or {}, dataclasses.asdict(now)) for now in then):
            continue
        if not gone:
            return run
        if len(gone) < len(learned) or _is_at(about, params.data_root):  # others elsewhere: photos of something else
            lacking = lacking or _lacking(run, gone, params.data_root)
    if lacking:
        raise ParameterError("data_root", lacking)
    return None


def _is_same(was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    free = {"data_root", *(seed for seed in _SEEDS if now[seed] < 0)}
    return {**now, **was, **{name: now[name] for name in free}} == now


def _is_at(about: Mapping[str, Any], data_root: str) -> bool:
    was = str((about.get("params") or {}).get("data_root", ""))
    return bool(was) and folder_of(was, "data_root") == folder_of(data_root, "data_root")


def _lacking(run: Run, gone: Sequence[str], data_root: str) -> str:
    return (
        f"The run in {run.folder.path} stopped at step {run.step}, and photos that it learned from are gone from "
        f"“{data_root}”: {listed(gone)}. Put them back, go on without them by --resume FOLDER, or start another run by "
        "--afresh."
    )


def _exists(app: App, name: str) -> bool:
    return any(path.stem.casefold() == name.casefold() for path in app.paths.embeddings.rglob("*") if path.is_file())
