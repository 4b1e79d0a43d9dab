"""A window that shows frames while they are answered: tkinter, which comes with Python, and Pillow.

No further package is needed. OpenCV's windows are missing from its headless packages, and bring a second copy of FFmpeg.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    import tkinter

    from PIL import Image

MAX_SHARE = 0.8
"""The largest share of the screen's width and height that the window takes."""


class Window:
    """Shows the newest frame. `show` may be called from any thread; `refresh` from the one that made the window.

    Raises:
        UsageError: there is no display, or Python was built without tkinter.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk  # noqa: F401
        except ImportError as error:
            raise UsageError(f"--show: needs tkinter ({error}); on Debian: apt install python3-tk; or give --save") from error
        try:
            self.root: tkinter.Tk = tkinter.Tk()
        except tkinter.TclError as error:
            raise UsageError(f"--show: there is no display ({error}); give --save, and look at the video") from error
        self.root.title(title)
        self.root.protocol("WM_DELETE_WINDOW", self.close)
        self.label = tkinter.Label(self.root, borderwidth=0)
        self.label.pack()
        self.newest: Image.Image | None = None
        self.lock, self.is_open = Lock(), True

    def show(self, image: Image.Image) -> None:
        with self.lock:
            self.newest = image

    def refresh(self) -> None:
        """Draws the newest frame, and does what the user asked for with mouse and keys."""
        if not self.is_open:
            return
        with self.lock:
            image, self.newest = self.newest, None
        if image is not None:
            from PIL import ImageTk

            room = int(self.root.winfo_screenwidth() * MAX_SHARE), int(self.root.winfo_screenheight() * MAX_SHARE)
            if image.width > room[0] or image.height > room[1]:
                image = image.copy()
                image.thumbnail(room)
            self.photo = ImageTk.PhotoImage(image)  # Tk shows an image only while something refers to it
            self.label.configure(image=self.photo)
        self.root.update()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.root.destroy()
