"""What the app takes."""

from __future__ import annotations

from dataclasses import dataclass

from ..models.images import DEFAULT_MAX_PIXELS

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF")
SUFFIXES = [".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif"]
MAX_QUEUE = 64
_MEGABYTE = 2**20  # as the messages of gradio count
MAX_SESSIONS = 200
MAX_CONNECTIONS = 500
# Seconds that a connection may stay without a request, that a request may pause, and that it may take to arrive.
MAX_IDLE, MAX_PAUSE, MAX_ARRIVAL = 20, 20, 300


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much the app takes, and how long it keeps it.

    Attributes:
        max_photos: In one request.
        max_pixels: Pixels of one photo.
        max_photos_pixels: Pixels of all photos in one request together.
        max_file_bytes: Bytes of one photo.
        max_upload_bytes: Bytes of one request with files.
        max_request_bytes: Bytes of any other request.
        max_folder_bytes: Bytes of everything in the temporary folder together.
        delete_after: Age in seconds of files that go from the temporary folder.
        delete_every: Seconds between two clearings of it.
        promise: What the page says about the photos.
    """

    max_photos: int
    max_pixels: int
    max_photos_pixels: int
    max_file_bytes: int
    max_upload_bytes: int
    max_request_bytes: int
    max_folder_bytes: int
    delete_after: int
    delete_every: int = 60
    promise: str

    @property
    def summary(self) -> str:
        """What the page says about the limits of a photo."""
        return (
            f"JPEG, PNG, WebP, AVIF or HEIC, at most {self.max_file_bytes // _MEGABYTE} MB and "
            f"{self.max_pixels // 1_000_000} megapixels. {self.promise}"
        )


# From strangers: 30 photos of 12 megapixels.
PUBLIC = Limits(
    max_photos=30,
    max_pixels=50_000_000,
    max_photos_pixels=360_000_000,
    max_file_bytes=20 * _MEGABYTE,
    max_upload_bytes=200_000_000,
    max_request_bytes=1_000_000,
    max_folder_bytes=2_000_000_000,
    delete_after=600,
    promise="Photos are deleted after 10 minutes and never used for anything else.",
)
# From who runs the app for themselves: photos as large as `dpiqa score` takes, and as many as one request of gradio's
# page carries. Web pages from elsewhere can send requests to it too, so that it is not without limits.
LOCAL = Limits(
    max_photos=1000,
    max_pixels=DEFAULT_MAX_PIXELS,
    max_photos_pixels=1000 * DEFAULT_MAX_PIXELS,
    max_file_bytes=500 * _MEGABYTE,
    max_upload_bytes=20_000_000_000,
    max_request_bytes=10_000_000,
    max_folder_bytes=20_000_000_000,
    delete_after=24 * 3600,
    promise="Photos stay on this machine, and the app's copies of them are deleted when it stops.",
)
