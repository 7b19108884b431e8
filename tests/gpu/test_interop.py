"""Arrays and streams of others, as far as they can be looked at without a GPU."""

from types import SimpleNamespace

import numpy as np
import pytest

from npscatter import ArgumentError, ArgumentTypeError, Scattering2D
from npscatter.backends.gpu import interop, target
from npscatter.backends.gpu.interop import as_stream, borrow, is_read_only, overlap, stacks


class FakeStream(target.Stream):
    def __init__(self, handle):
        self.handle = handle


class FakeArray:
    """What Numba makes of an interface."""

    def __init__(self, interface, owner):
        self.interface, self.owner = interface, owner
        self.shape, self.dtype = interface["shape"], np.dtype(interface["typestr"])
        self.size = int(np.prod(self.shape))


@pytest.fixture
def driver(monkeypatch):
    """Return a list of what a GPU would have been asked to do."""
    log = []

    class Event:
        def __init__(self, timing):
            assert not timing

        def record(self, stream):
            log.append(("record", stream.handle))

        def wait(self, stream):
            log.append(("wait", stream.handle))

    fake = SimpleNamespace(
        legacy_default_stream=lambda: FakeStream(1),
        per_thread_default_stream=lambda: FakeStream(2),
        external_stream=FakeStream,
        event=Event,
        from_cuda_array_interface=lambda interface, owner, sync: FakeArray(interface, owner),
    )
    monkeypatch.setattr(interop, "cuda", fake)
    monkeypatch.setattr(interop, "device_of", lambda array: 0)
    return log


def foreign(stream=None, shape=(3, 4, 4), typestr="<f4", read_only=False):
    interface = {"shape": shape, "strides": None, "typestr": typestr, "data": (4096, read_only)}
    return SimpleNamespace(__cuda_array_interface__=interface | {"version": 3, "stream": stream})


@pytest.mark.parametrize(
    ("stream", "handle"),
    [
        (0, 1),
        (1, 1),
        (2, 2),
        (77, 77),
        (SimpleNamespace(cuda_stream=78), 78),
        (SimpleNamespace(ptr=79), 79),
        (SimpleNamespace(__cuda_stream__=lambda: (0, 80)), 80),
        (FakeStream(81), 81),
        (FakeStream(0), 1),
    ],
)
def test_streams_of_all_libraries(driver, stream, handle):
    assert as_stream(stream).handle == handle


@pytest.mark.parametrize("stream", ["0", 1.5, True, object()])
def test_what_is_no_stream_is_refused(driver, stream):
    with pytest.raises(ArgumentTypeError, match=r"stream=.*must be a CUDA stream.*current_stream"):
        as_stream(stream)


def test_arrays_are_worked_on_on_their_own_stream(driver):
    borrowed = borrow("x", foreign(stream=5), None)
    assert borrowed.stream.handle == 5 and borrowed.array.interface["stream"] is None
    borrowed.give_back()
    assert driver == []
    assert borrow("x", foreign(), None).stream.handle == 1


def test_streams_wait_for_each_other_both_ways(driver):
    borrowed = borrow("x", foreign(stream=5), 6)
    assert borrowed.stream.handle == 6
    assert driver == [("record", 5), ("wait", 6)]
    borrowed.give_back()
    assert driver[2:] == [("record", 6), ("wait", 5)]


def test_torchs_current_stream_is_asked_for(driver, monkeypatch):
    class Tensor(SimpleNamespace):
        pass

    current = {"cuda:0": SimpleNamespace(cuda_stream=9)}
    torch = SimpleNamespace(
        Tensor=Tensor, cuda=SimpleNamespace(current_stream=lambda device: current[device])
    )
    monkeypatch.setitem(interop.sys.modules, "torch", torch)
    interface = foreign().__cuda_array_interface__
    del interface["stream"]
    x = Tensor(device="cuda:0", __cuda_array_interface__=interface)
    assert borrow("x", x, None).stream.handle == 9


def test_dlpack_alone_will_do(driver):
    """A capsule on the host, as those of a GPU are made: nothing but the device differs."""

    class OnlyDLPack:
        def __init__(self, array):
            self.array = array

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

        def __dlpack__(self, *, stream=None, **options):
            return self.array.__dlpack__(**options)

    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::2]
    borrowed = borrow("x", OnlyDLPack(values), None)
    interface = borrowed.array.interface
    assert interface["shape"] == (2, 2, 4) and interface["typestr"] == "<f4"
    assert interface["data"][0] == values.__array_interface__["data"][0]
    assert interface["strides"] == values.strides
    assert borrowed.stream.handle == 1


def test_arrays_of_another_gpu_are_refused(driver, monkeypatch):
    monkeypatch.setattr(interop, "device_of", lambda array: 0 if array is None else 3)
    with pytest.raises(ArgumentError, match=r"out.device=3: must be the current GPU, 0;.*copy"):
        borrow("out", foreign(), None)


def test_bytes_in_another_order_are_refused(driver):
    with pytest.raises(ArgumentError, match=r"x.dtype=.*must have its bytes in the GPU's order"):
        borrow("x", foreign(typestr=">f4"), None)


@pytest.mark.parametrize("average", [True, False, "global"])
def test_maps_of_channels_are_views_on_their_arrays_stream(monkeypatch, average):
    plan = Scattering2D(2, (9, 12), 4, backend="numpy", bank="fast-L4", average=average).plan
    memory = np.arange(6 * plan.channel_starts[-1], dtype=np.float32)
    shape = plan.call_shape

    def viewed(array, offset, shape, strides):
        view = np.ndarray(shape, array.dtype, memory.data, offset, strides)
        return SimpleNamespace(values=view)

    monkeypatch.setattr(interop, "viewed", viewed)
    host = memory.reshape(2, 3, *shape)
    array = SimpleNamespace(**{n: getattr(host, n) for n in ("shape", "strides", "ndim", "dtype")})
    array.stream = 5
    maps = interop.channel_maps(plan, array)
    program = memory.reshape(2, 3, *plan.output_shape)
    assert len(maps) == plan.n_coefficients and all(one.stream == 5 for one in maps)
    for channel, one in enumerate(maps):
        assert np.array_equal(one.values, plan.maps_of(program, channel))


def test_read_only_is_what_the_interface_says():
    assert is_read_only(foreign(read_only=True)) and not is_read_only(foreign())
    assert not is_read_only(object())


def test_overlap_is_of_the_whole_span(monkeypatch):
    monkeypatch.setattr(interop, "address", lambda array: array.__array_interface__["data"][0])
    memory = np.zeros((4, 10), np.float32)
    assert overlap(memory[0], memory[0]) and overlap(memory[:, 0], memory[2])
    assert overlap(memory[0, ::-1], memory[0, 9:])
    assert not overlap(memory[0], memory[1]) and not overlap(memory[0, :5], memory[0, 5:])
    assert not overlap(memory[1, ::-1], memory[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: x[0, 0],
        lambda x: x[:, :, ::-1, ::2],
        lambda x: x[:, 1:],
        lambda x: x[::-1],
        lambda x: x.transpose(1, 0, 3, 2),
        lambda x: np.broadcast_to(x[0, 0], (2, 5, 6, 7)),
        lambda x: np.broadcast_to(x[:, :1], x.shape),
        lambda x: x[:, :0],
        lambda x: x[:, ::2][None],
    ],
)
def test_stacks_reach_every_image_in_order(make):
    array = make(np.arange(3 * 4 * 6 * 7, dtype=np.float32).reshape(3, 4, 6, 7))
    start = array.__array_interface__["data"][0]
    parts = []
    for offset, count, stride in stacks(array.shape, array.strides):
        interface = array.__array_interface__ | {
            "data": (start + offset, True),
            "shape": (count, *array.shape[-2:]),
            "strides": (stride, *array.strides[-2:]),
        }
        parts.append(np.asarray(SimpleNamespace(__array_interface__=interface, owner=array)))
    images = array.reshape(-1, *array.shape[-2:])
    assert sum(map(len, parts)) == len(images)
    assert np.array_equal(np.concatenate(parts) if parts else images, images)
    if array.flags.c_contiguous and array.size:
        assert len(parts) == 1
