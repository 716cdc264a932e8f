"""What the app takes from strangers."""

from __future__ import annotations

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF")
SUFFIXES = [".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif"]
MAX_PHOTOS = 30
# Of one photo, and of all in one request: 30 photos of 12 megapixels.
MAX_PIXELS = 50_000_000
MAX_REQUEST_PIXELS = 360_000_000
MAX_FILE_BYTES = 20_000_000
# Of one request with files, of any other request, and of everything in the temporary folder together.
MAX_UPLOAD_BYTES = 200_000_000
MAX_REQUEST_BYTES = 1_000_000
MAX_FOLDER_BYTES = 2_000_000_000
MAX_QUEUE = 64
MAX_SESSIONS = 200
MAX_CONNECTIONS = 500
# Seconds that a connection may stay without a request, that a request may pause, and that it may take to arrive.
MAX_IDLE, MAX_PAUSE, MAX_ARRIVAL = 20, 20, 300
# Seconds between two clearings of the temporary folder, and the age of the files that go.
DELETE_EVERY, DELETE_AFTER = 60, 600

SUMMARY = (
    f"JPEG, PNG, WebP, AVIF or HEIC, at most {MAX_FILE_BYTES // 1_000_000} MB and "
    f"{MAX_PIXELS // 1_000_000} megapixels. "
    f"Photos are deleted after {DELETE_AFTER // 60} minutes and never used for anything else."
)
