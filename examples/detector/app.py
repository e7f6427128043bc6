"""A detector that looks at the frames of cameras: a Flask service."""

from __future__ import annotations

import logging
import os
import threading
import time

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from describer import Describer, NoAnswerError, keys_from_environment
from detection import MODEL_TYPE, Detection, detect
from notes import Notes
from otel_obs import configure, instrument, record_detection
from scene import Camera, Frame

MAX_FRAMES = 100
CAMERAS = tuple(os.environ.get("CAMERAS", "entrance,yard,street").split(","))

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)
logger = logging.getLogger("detector")


class Watch:
    """One camera of this worker, and what it showed last."""

    def __init__(self, camera_id: str) -> None:
        self.camera_id = camera_id
        self.last: Detection | None = None
        self._camera = Camera(camera_id)
        self._lock = threading.Lock()

    def look(self, count: int) -> list[Detection]:
        """Detect what is in the next frames; each is counted."""
        with self._lock:
            found = [self._detect(frame) for frame in self._camera.frames(count)]
            self.last = found[-1]
        return found

    def _detect(self, frame: Frame) -> Detection:
        start_s = time.perf_counter()
        found = detect(frame)
        latency_s = time.perf_counter() - start_s
        record_detection(self.camera_id, MODEL_TYPE, latency_s, len(found.boxes), found.groups)
        return found


app = instrument(Flask(__name__))
watches = {camera_id: Watch(camera_id) for camera_id in CAMERAS}
describer = Describer(
    os.environ.get("GEMINI_URL", "http://127.0.0.1:8090/gemini/v1"), keys_from_environment()
)
notes = Notes(os.environ.get("NOTES_URL", ""))
pipeline = configure()
if pipeline is not None:
    logger.info("Prometheus metrics endpoint enabled at %s", pipeline.settings.metrics_path)


@app.get("/health")
def health() -> ResponseReturnValue:
    return jsonify(status="ok", cameras=CAMERAS)


@app.post("/cameras/<camera_id>/frames")
def look(camera_id: str) -> ResponseReturnValue:
    """Look at the next frames of a camera: `?count=` many, 1 by default."""
    if camera_id not in watches:
        return jsonify(error=f"there is no camera {camera_id!r}; expected one of {', '.join(CAMERAS)}"), 404
    count = request.args.get("count", 1, type=int)
    if not 1 <= count <= MAX_FRAMES:
        return jsonify(error=f"count is {count}; expected 1 to {MAX_FRAMES}"), 400
    found = watches[camera_id].look(count)
    return jsonify(frames=[{"objects": len(each.boxes), "groups": each.groups} for each in found])


@app.post("/cameras/<camera_id>/description")
def describe(camera_id: str) -> ResponseReturnValue:
    """What a camera shows now, in words."""
    if camera_id not in watches:
        return jsonify(error=f"there is no camera {camera_id!r}; expected one of {', '.join(CAMERAS)}"), 404
    found = watches[camera_id].look(1)[-1]
    try:
        description = describer.describe(found)
    except NoAnswerError as error:
        return jsonify(error=str(error)), 503
    notes.keep(camera_id, description)
    return jsonify(description=description)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
