"""A picture that we may show: drawn here, no photograph."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def landscape(width: int = 960, height: int = 640, seed: int = 0) -> Image.Image:
    """Hills, a lake and the sun, with the grain of grass and water."""
    random = np.random.default_rng(seed)
    rows = np.linspace(0, 1, height)[:, None]
    sky = np.array([92, 148, 214]) * (1 - rows[..., None]) + np.array([250, 222, 180]) * rows[..., None]
    picture = np.broadcast_to(sky, (height, width, 3)).copy()
    columns = np.arange(width)
    for layer, colour in enumerate([(118, 140, 160), (84, 124, 104), (52, 98, 60), (34, 70, 40)]):
        phases = random.uniform(0, 6.3, 6)
        waves = sum(np.sin(columns * (2**k) / width * 4 + phases[k]) / 2**k for k in range(6))
        top = height * (0.42 + 0.12 * layer) + 26 * waves
        grain = random.normal(0, 5 + 6 * layer, (height, width, 1))
        below = np.arange(height)[:, None] > top
        picture = np.where(below[..., None], np.array(colour) + grain, picture)
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    sun = Image.new("L", image.size)
    ImageDraw.Draw(sun).ellipse([width * 0.7, height * 0.12, width * 0.7 + height * 0.14, height * 0.26], fill=255)
    image.paste((255, 244, 200), mask=sun.filter(ImageFilter.GaussianBlur(2)))
    draw = ImageDraw.Draw(image)
    for x, y in zip(random.uniform(0, width, 900), random.uniform(height * 0.84, height, 900), strict=True):
        shade = int(random.uniform(60, 190))
        draw.line([x, y, x + random.normal(0, 4), y - random.uniform(6, 26)], fill=(shade // 2, shade, shade // 3))
    return image
