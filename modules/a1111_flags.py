"""Flags of A1111's start scripts that have no effect here: those that are passed over with a notice, and those without
which it would be another server, so that it does not start.

Those with a meaning here are in `flags`.
"""

from collections.abc import Mapping

IGNORED_SWITCHES = """
    -f --allow-code --always-batch-cond-uncond --add-stop-route --deepdanbooru --disable-console-progressbars
    --disable-nan-check --disable-opt-split-attention --disable-safe-unpickle --disable-tls-verify
    --enable-console-prompts --enable-insecure-extension-access --gradio-queue --hide-ui-dir-config --log-startup
    --lowram --lowvram --medvram --medvram-sdxl --no-download-sd-model --no-gradio-queue --no-hashing
    --opt-channelslast --opt-sdp-attention --opt-sdp-no-mem-attention --opt-split-attention
    --opt-split-attention-invokeai --opt-split-attention-v1 --opt-sub-quad-attention --reinstall-torch
    --reinstall-xformers --show-negative-prompt --skip-python-version-check --skip-torch-cuda-test
    --skip-version-check --test-server --ui-debug-mode --unload-gfpgan --update-all-extensions --update-check
    --upcast-sampling --use-textbox-seed --xformers --xformers-flash-attention
""".split()

IGNORED_WITH_VALUE = """
    --filenames-max-length --gradio-allowed-path --hypernetwork-dir --loglevel --max-batch-count --ngrok-region
    --ui-config-file
""".split()

_PROXY = (
    "let a reverse proxy do it that sends on to http://127.0.0.1 with this as the Host, name its address in "
    "--cors-allow-origins, and add --gradio-auth."
)
_FROZEN = "settings cannot be frozen here: leave it out, and give logins only to those who may change them."

# Who reaches the server, what they may do, or what it does at all: each with what to do instead.
REFUSED: Mapping[str, str] = {
    "--share": f"this server opens no tunnel: {_PROXY}",
    "--ngrok": f"this server opens no tunnel: {_PROXY}",
    "--tls-keyfile": f"this server does not encrypt: {_PROXY}",
    "--tls-certfile": f"this server does not encrypt: {_PROXY}",
    "--subpath": "this server answers at the root of its address only: give it a host name of its own in your proxy.",
    "--freeze-settings": _FROZEN,
    "--freeze-settings-in-sections": _FROZEN,
    "--freeze-specific-settings": _FROZEN,
    "--dump-sysinfo": "start with --api and read /internal/sysinfo.",
}
