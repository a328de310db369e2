"""The machine and the server itself: memory, the model in and out of it, flags, ending."""

import dataclasses
import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import Any

import psutil
from fastapi import APIRouter

from modules.api import errors
from modules.api.answers import MemoryAnswer, SysInfoAnswer
from modules.api.host import Host
from modules.flags import Flags
from modules.infotext import VERSION_VALUE

_TOLD_PACKAGES = ("torch", "diffusers", "transformers", "gradio", "fastapi", "safetensors", "pillow")
_SECRET = ("logins", "api_logins")  # dataclass fields of flags whose values nobody is told


def add_routes(router: APIRouter, host: Host) -> None:
    app = host.app

    @router.get("/sdapi/v1/memory")
    def memory() -> MemoryAnswer:
        """Bytes of main memory (used: by this program), and of the graphics card."""
        used = psutil.Process().memory_info().rss
        whole = psutil.virtual_memory()
        return MemoryAnswer(ram={"free": whole.available, "used": used, "total": whole.total}, cuda=_cuda())

    @router.get("/internal/sysinfo")
    def sysinfo() -> SysInfoAnswer:
        """What a report of a fault should say of this machine: no folders, no passwords."""
        here, state = memory(), app.model_state
        return SysInfoAnswer(
            Platform=platform.platform(),
            Python=platform.python_version(),
            Version=VERSION_VALUE,
            Checkpoint=state.checkpoint,
            Device=state.device,
            RAM=here.ram,
            CUDA=here.cuda,
            Packages={name: importlib.metadata.version(name) for name in _TOLD_PACKAGES},
        )

    @router.get("/sdapi/v1/cmd-flags")
    def cmd_flags() -> dict[str, Any]:
        """How the server was started; no passwords."""
        return flags_told(app.flags)

    @router.post("/sdapi/v1/unload-checkpoint")
    async def unload_checkpoint() -> dict[str, Any]:
        """Free the memory that the model takes; the next picture loads it again. While a training run needs it: 409."""
        host.require_no_training("to put it away")
        await host.end_of(await host.in_thread(lambda: app.models.unload(host.owner)))
        return {}

    @router.post("/sdapi/v1/reload-checkpoint")
    async def reload_checkpoint() -> dict[str, Any]:
        """Load the model again, if it was unloaded."""
        await host.end_of(await host.in_thread(lambda: app.models.reload(host.owner)))
        return {}

    stop_is_told = app.flags.api_server_stop

    def end(how: str) -> None:
        if not stop_is_told:
            raise errors.refuse(403, "Programs may end this server only if it was started with --api-server-stop.")
        host.end_server(how)

    @router.post("/sdapi/v1/server-kill", include_in_schema=stop_is_told)
    def server_kill() -> None:
        """End the server; jobs keep what can be kept."""
        end("stop")

    @router.post("/sdapi/v1/server-stop", include_in_schema=stop_is_told)
    def server_stop() -> None:
        """The same: there is only one way to end here."""
        end("stop")

    @router.post("/sdapi/v1/server-restart", include_in_schema=stop_is_told)
    def server_restart() -> None:
        """End the server and start it again, with the same flags."""
        end("restart")


def flags_told(flags: Flags) -> dict[str, Any]:
    """Flags by A1111's names, as JSON has them."""
    told: dict[str, Any] = {}
    for field in dataclasses.fields(Flags):
        if field.name in _SECRET:
            continue
        value = getattr(flags, field.name)
        value = [str(part) for part in value] if isinstance(value, tuple) else value
        told[field.name] = str(value) if isinstance(value, Path) else value
    return {**told, "gradio_auth": None, "gradio_auth_path": None, "api_auth": None}


def _cuda() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {"error": "There is no CUDA device in use."}
    free, total = torch.cuda.mem_get_info()
    stats = torch.cuda.memory_stats()
    return {
        "system": {"free": free, "used": total - free, "total": total},
        **{
            name: {"current": stats[f"{key}.all.current"], "peak": stats[f"{key}.all.peak"]}
            for name, key in (
                ("active", "active_bytes"),
                ("allocated", "allocated_bytes"),
                ("reserved", "reserved_bytes"),
                ("inactive", "inactive_split_bytes"),
            )
        },
        "events": {"retries": stats["num_alloc_retries"], "oom": stats["num_ooms"]},
    }
