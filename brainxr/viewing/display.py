"""Displays: whether there is one to open a window on, and one of our own to draw on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys

from brainxr.errors import DisplayError

# Platforms of Qt that draw no OpenGL, and so nothing of what napari shows.
_BLIND = ("offscreen", "minimal", "vnc", "linuxfb")

# Name of the display that was started here, if one was; Qt stays with it to the end.
_own_display: list[str] = []


def has_display() -> bool:
    """Whether Qt could open a window; it ends the process where it can't."""
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    if sys.platform in ("win32", "darwin") or platform.split(":")[0] in ("offscreen", "vnc"):
        return True
    if os.environ.get("WAYLAND_DISPLAY"):
        return True
    if _own_display and os.environ.get("DISPLAY") == _own_display[0]:
        return False  # nobody sees it
    return _x_server_answers(os.environ.get("DISPLAY", ""))


def _x_server_answers(display: str) -> bool:
    host, _, number = display.partition(":")
    if not number:
        return False
    if host and host != "unix":
        return _answers_at(host, 6000 + int(number.split(".")[0]))
    name = f"/tmp/.X11-unix/X{number.split('.')[0]}"
    for address in (name, "\0" + name):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            try:
                server.connect(address)
            except OSError:
                continue
            return True
    return False


def _answers_at(host: str, port: int) -> bool:
    """Whether a forwarded display is there: Qt would abort the process where it isn't."""
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True


def refuse_without_display() -> None:
    """Refuse to open a window where there is no display, which Qt would not survive."""
    if not has_display():
        raise DisplayError(
            "There is no display to open a window on (DISPLAY is "
            f"{os.environ.get('DISPLAY') or 'not set'!s}). For pictures use "
            "data.brain.plot_planes() or .brain.montage(); for napari's own picture "
            "brainxr.screenshot(data, 'picture.png'), or a virtual display: "
            "xvfb-run python script.py."
        )


def provide_display() -> None:
    """Make sure that a hidden window can be drawn, on a display of our own where there is none.

    That is Xvfb, on Linux; it ends by itself soon after the last window on it is gone,
    at the latest with this process. A window that somebody should see is not opened there.

    Raises
    ------
    DisplayError
        When there is none, and none can be started; says what to do.
    """
    platform = _qt_platform()
    if platform in _BLIND and sys.platform == "linux":
        raise DisplayError(
            f"Qt runs on its platform {platform!r} already, on which napari's picture stays black. "
            "Start anew without QT_QPA_PLATFORM, and with a display: xvfb-run python script.py."
        )
    is_blind = os.environ.get("QT_QPA_PLATFORM", "").split(":")[0] in _BLIND
    if platform is not None or _own_display or (has_display() and not is_blind):
        return
    if sys.platform != "linux":
        raise DisplayError("Qt draws nothing on QT_QPA_PLATFORM=offscreen: unset it.")
    _own_display.append(_start_xvfb())
    os.environ["DISPLAY"] = _own_display[0]
    os.environ.pop("QT_QPA_PLATFORM", None)


def _qt_platform() -> str | None:
    """Where Qt draws; None where it hasn't begun."""
    gui = sys.modules.get("qtpy.QtGui")
    app = None if gui is None else gui.QGuiApplication.instance()
    return None if app is None else str(app.platformName())


def _start_xvfb() -> str:
    if shutil.which("Xvfb") is None:
        raise DisplayError(
            "There is no display to draw napari's picture on, and no Xvfb to make one. Install it "
            "(Debian, Ubuntu: apt install xvfb; Fedora: dnf install xorg-x11-server-Xvfb), or draw "
            "by data.brain.plot_planes(), which needs none."
        )
    reader, writer = os.pipe()
    with os.fdopen(reader) as answer:
        # it ends 10 seconds after its last client, if none comes back
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1600x1200x24",
             "-nolisten", "tcp", "-terminate", "10"],
            pass_fds=[writer], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writer)
        number = answer.readline().strip()
    if not number:
        raise DisplayError(
            f"Xvfb ended with code {server.wait()} before it had a display. Start it by hand to "
            "see why: Xvfb :99."
        )
    return f":{number}"
