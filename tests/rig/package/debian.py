# SPDX-License-Identifier: MIT
"""A fresh Debian, made by debootstrap, and commands that run in it."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import tap
from commands import run

# A system with its own mounts and processes, which end with the command, however it ends. Its root is a
# mount, as a root should be; /dev and /sys are the host's.
ENTER = """set -e
root=$1
shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
chroot "$root" env -i "$@"
"""
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "HOME": "/root", "LC_ALL": "C.UTF-8",
               "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class Debian:
    """An existing Debian, at a path."""

    def __init__(self, root):
        self.root = Path(root)

    def inside(self, *command, fails=False, **env):
        """The output of a command, as run() gives it."""
        variables = [f"{name}={value}" for name, value in {**ENVIRONMENT, **env}.items()]
        return run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh",
                   self.root, *variables, *command, fails=fails)

    def shell(self, script, **env):
        return self.inside("sh", "-c", script, **env)

    @contextlib.contextmanager
    def copied(self):
        """A temporary copy."""
        with tempfile.TemporaryDirectory() as temporary:
            run("cp", "-a", self.root, Path(temporary) / "root")
            yield Debian(Path(temporary) / "root")


def why_none():
    """Why no Debian can be made here; None if one can."""
    if os.geteuid() != 0:
        return tap.Skip("takes root")
    return None if shutil.which("debootstrap") else tap.Skip("takes debootstrap")


@contextlib.contextmanager
def new_debian():
    """A temporary minimal system."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        run("debootstrap", "--variant=minbase", "bookworm", root)
        yield Debian(root)
