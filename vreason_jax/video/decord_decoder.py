"""decord, which qwen-vl-utils used first. It misplaces frames of many files (docs/media.md)."""

import importlib.util
from collections.abc import Iterable, Iterator

from vreason_jax.video.decoders import DecodeError, Frame, NotInstalledError, gist
from vreason_jax.video.timeline import Timeline

BATCH = 4  # frames at full size held at a time


class DecordDecoder:
    """A video by decord: it seeks by itself and turns frames upright; pixels count as square."""

    def __init__(self, path: str):
        if importlib.util.find_spec("decord") is None:
            raise NotInstalledError("decord is not installed")
        self.notices: list[str] = []
        try:
            import decord

            self._video = decord.VideoReader(path)
            total, rate = len(self._video), float(self._video.get_avg_fps())
            spans = self._video.get_frame_timestamp(range(total))  # float [N,2], seconds
        except Exception as error:  # decord raises its own class, RuntimeError or OSError
            raise DecodeError(f"decord: {gist(error)}") from None
        if not total:
            raise DecodeError("decord: the video holds no frames")
        begins = [float(begin) - float(spans[0][0]) for begin, _ in spans]
        last = float(spans[-1][1] - spans[-1][0])
        self.timeline = Timeline.of_stamps(begins, last, rate)

    def frames(self, indices: Iterable[int]) -> Iterator[Frame]:
        """Yields the frames at ascending `indices`, decoded a few at a time."""
        wanted = [int(index) for index in indices]
        for start in range(0, len(wanted), BATCH):
            try:
                batch = self._video.get_batch(wanted[start : start + BATCH]).asnumpy()
            except Exception as error:
                raise DecodeError(f"decord: {gist(error)}") from None
            yield from map(Frame.square, batch)
