#!/usr/bin/env bash
# Find Python, read webui-user.sh, hand over to launch.py, which sets everything up. For bash 3.2 and newer.

self=$0
while [ -L "$self" ]; do # started through a link, perhaps from ~/bin
    link=$(readlink "$self")
    case $link in
    /*) self=$link ;;
    *) self=$(dirname "$self")/$link ;;
    esac
done
here=$(CDPATH='' cd "$(dirname "$self")" && pwd) || exit 1

if [ -f "$here/webui-user.sh" ]; then
    set -a # what it sets is meant for launch.py, with or without “export”
    # shellcheck source=/dev/null
    . "$here/webui-user.sh"
    set +a
fi

system=$(uname -s)
if [ "$system" = Darwin ] && [ "$(uname -m)" = arm64 ]; then
    # What the Mac's graphics chip cannot do yet, the processor does.
    export PYTORCH_ENABLE_MPS_FALLBACK="${PYTORCH_ENABLE_MPS_FALLBACK:-1}"
fi

if [ "$(id -u)" = 0 ]; then
    echo "Running as root: the files made will belong to root. An ordinary user is enough." >&2
fi

is_usable() { # is $1 a Python that this program runs on?
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 </dev/null
}

find_python() {
    for name in python3 python3.12 python3.11 python3.13 python; do
        found=$(command -v "$name") || continue
        # Without its developer tools a Mac has a placeholder there, which opens a window.
        if [ "$system" = Darwin ] && [ "$found" = /usr/bin/python3 ]; then continue; fi
        if is_usable "$found"; then
            python=$found
            return
        fi
    done
    return 1
}

how_to_install() {
    if [ "$system" = Darwin ]; then
        echo "brew install python@3.12"
    elif command -v apt-get >/dev/null; then
        for version in 3.12 3.13 3.11; do
            if apt-cache show "python$version-venv" >/dev/null 2>&1; then
                echo "sudo apt install python$version python$version-venv"
                return
            fi
        done
        echo "sudo apt update && sudo apt install python3 python3-venv"
    elif command -v dnf >/dev/null; then
        echo "sudo dnf install python3.12"
    elif command -v pacman >/dev/null; then
        echo "sudo pacman -S uv && uv python install 3.12"
    else
        echo "see https://www.python.org/downloads/"
    fi
}

if [ -n "$python_cmd" ]; then
    python=$python_cmd
    if ! is_usable "$python"; then
        echo "python_cmd=$python is no Python 3.11, 3.12 or 3.13: correct it, or leave it out." >&2
        exit 1
    fi
elif ! find_python; then
    echo "Python 3.11, 3.12 or 3.13 is needed and was not found; to install it: $(how_to_install)" >&2
    exit 1
fi

{ : 3<&0; } 2>/dev/null || exec </dev/null # started with its input closed, as some services are
exec "$python" "$here/launch.py" "$@"
