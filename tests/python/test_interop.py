"""NumPy, DLPack, copy and pickle: recorded answers of PyTorch 2.15.0, and what a recording cannot show (who keeps memory
alive, capsules taken once, C functions)."""
import copy
import ctypes
import gc
import pickle
import unittest
import weakref

from replay import Calls

import wengert as torch

try:
    import numpy as np
except ImportError:
    np = None


@unittest.skipUnless(np, "needs NumPy")
class NumPy(Calls, unittest.TestCase):
    group, least = "numpy", 200


@unittest.skipUnless(np, "needs NumPy")
class DLPack(Calls, unittest.TestCase):
    group, least = "dlpack", 50


class Pickles(Calls, unittest.TestCase):
    group, least = "pickle", 50


def live():
    gc.collect()
    return torch._C._memory_stats()["live_tensors"]


@unittest.skipUnless(np, "needs NumPy")
class Arrays(unittest.TestCase):
    DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")

    def test_every_dtype_both_ways(self):
        for name in self.DTYPES:
            with self.subTest(dtype=name):
                a = np.arange(6).reshape(2, 3).astype(name)
                t = torch.from_numpy(a)
                self.assertEqual((str(t.dtype), t.data_ptr()), ("torch." + name, a.ctypes.data))
                back = t.T.numpy()
                self.assertEqual((back.dtype, back.strides, back.tolist()), (a.dtype, a.T.strides, a.T.tolist()))
                self.assertTrue(np.shares_memory(a, back))

    def test_an_array_keeps_the_memory(self):
        before = live()
        a = torch.arange(1000.).numpy()[::2]
        gc.collect()
        self.assertEqual(a[499], 998)
        del a
        self.assertEqual(live(), before)

    def test_a_tensor_keeps_the_array(self):
        a = np.ones(1000)
        gone = weakref.ref(a)
        v = torch.from_numpy(a)[10:20]
        del a
        gc.collect()
        self.assertEqual(v.sum().item(), 10)
        self.assertIsNotNone(gone())
        del v
        gc.collect()
        self.assertIsNone(gone())

    def test_BUG_an_array_survives_another_data(self):
        x = torch.full((1000,), 3.0)
        a = x.numpy()
        x.data = torch.ones(1)
        junk = [torch.zeros(1000) for _ in range(50)]
        self.assertEqual((set(a.tolist()), len(junk)), ({3.0}, 50))

    def test_BUG_an_array_survives_resize(self):
        x = torch.full((1000,), 3.0)
        a = x.numpy()
        x.resize_(100000)
        junk = [torch.zeros(1000) for _ in range(50)]
        self.assertEqual((set(a.tolist()), len(junk)), ({3.0}, 50))

    def test_BUG_numpy_without_grad_mode(self):
        x = torch.ones(2, requires_grad=True)
        with self.assertRaisesRegex(RuntimeError, "Can't call numpy"):
            x.numpy()
        with torch.no_grad():
            self.assertEqual(x.numpy().tolist(), [1, 1])
        self.assertEqual((x * 2).numpy(force=True).tolist(), [2, 2])

    def test_read_only_memory_stays_read_only(self):
        a = np.frombuffer(b"abcd", dtype="u1")
        t = torch.from_numpy(a)
        with self.assertRaises(RuntimeError):
            t += 1
        self.assertFalse(t.numpy().flags.writeable)
        self.assertEqual(t.tolist(), [97, 98, 99, 100])

    def test_array_protocol_with_a_copy(self):
        x = torch.arange(3.)
        self.assertTrue(np.shares_memory(x.__array__(), x.__array__(copy=False)))
        self.assertFalse(np.shares_memory(x.__array__(copy=True), x.__array__()))
        self.assertEqual(x.__array__("int32").dtype, "int32")
        self.assertFalse(np.shares_memory(np.array(x), x.numpy()))
        self.assertTrue(np.shares_memory(np.asarray(x), x.numpy()))
        with self.assertRaises(ValueError):
            x.__array__("float64", copy=False)

    def test_BUG_an_array_over_a_tensor_and_equal_to_one(self):
        x = torch.tensor([1., 2.])
        self.assertEqual((np.ones(2) / x).tolist(), [1, 0.5])
        self.assertIsInstance(np.ones(2) / x, torch.Tensor)
        self.assertEqual((x == np.array([1., 3.])).tolist(), [True, False])
        self.assertIs(x == np.array(["a", "b"]), False)

    def test_no_warnings_of_numpy(self):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            x = torch.ones(2)
            self.assertIsInstance(np.sin(x), torch.Tensor)
            self.assertIsInstance(x + np.ones(2), torch.Tensor)
            self.assertEqual(np.array(x, dtype="f8").tolist(), [1, 1])


class Capsules(unittest.TestCase):
    def test_a_capsule_is_taken_once(self):
        for version in (None, (1, 0)):
            c = torch.ones(2).__dlpack__(max_version=version)
            self.assertEqual(torch.from_dlpack(c).tolist(), [1, 1])
            with self.assertRaisesRegex(RuntimeError, "from_dlpack received an invalid capsule"):
                torch.from_dlpack(c)

    def test_a_capsule_that_nobody_takes_is_freed(self):
        before = live()
        for version in (None, (1, 0)):
            torch.ones(2).__dlpack__(max_version=version)
            c = torch.ones(2).__dlpack__(max_version=version, copy=True)
            del c
        self.assertEqual(live(), before)

    def test_every_dtype_comes_back(self):
        for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"):
            x = torch.arange(6).reshape(2, 3).to(getattr(torch, name)).T
            y = torch.from_dlpack(x)
            self.assertEqual((y.dtype, y.tolist(), y.stride(), y.data_ptr()), (x.dtype, x.tolist(), (1, 3), x.data_ptr()))

    def test_BUG_a_capsule_survives_another_data(self):
        x = torch.full((1000,), 3.0)
        c = x.__dlpack__()
        x.data = torch.ones(1)
        junk = [torch.zeros(1000) for _ in range(50)]
        self.assertEqual((torch.from_dlpack(c).sum().item(), len(junk)), (3000, 50))

    @unittest.skipUnless(np, "needs NumPy")
    def test_BUG_a_refused_capsule_keeps_what_it_holds(self):
        a = np.ones(1000, dtype="c8")
        gone = weakref.ref(a)
        for _ in range(2):
            with self.assertRaises(BufferError):
                torch.from_dlpack(a)
        with self.assertRaisesRegex(RuntimeError, "Storage size calculation overflowed"):
            torch.from_dlpack(np.ones(3)[::-1])
        del a
        gc.collect()
        self.assertIsNone(gone())

    @unittest.skipUnless(np and int(np.__version__.split(".")[0]) >= 2, "needs NumPy 2")
    def test_read_only_goes_both_ways(self):
        a = np.ones(3)
        a.flags.writeable = False
        t = torch.from_dlpack(a)
        with self.assertRaises(RuntimeError):
            t += 1
        self.assertFalse(np.from_dlpack(t).flags.writeable)
        self.assertTrue(np.from_dlpack(torch.ones(2)).flags.writeable)

    def test_utils(self):
        from wengert.utils import dlpack

        self.assertEqual(dlpack.from_dlpack(dlpack.to_dlpack(torch.ones(2))).tolist(), [1, 1])
        self.assertEqual(torch.ones(1).__dlpack_device__(), (dlpack.DLDeviceType.kDLCPU, 0))


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", Device), ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("byte_offset", ctypes.c_uint64)]


class Managed(ctypes.Structure):
    pass


DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(Managed))
Managed._fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p), ("deleter", DELETER),
                    ("flags", ctypes.c_uint64), ("tensor", DLTensor)]
FAIL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)


class Exchange(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("previous", ctypes.c_void_p),
                ("allocate", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.POINTER(DLTensor), ctypes.POINTER(ctypes.POINTER(Managed)), ctypes.c_void_p, FAIL)),
                ("from_object", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(ctypes.POINTER(Managed)))),
                ("to_object", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.POINTER(Managed), ctypes.POINTER(ctypes.py_object))),
                ("borrow", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(DLTensor))),
                ("stream", ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p)))]


class CFunctions(unittest.TestCase):
    """The table that DLPack 1.2 and later name __dlpack_c_exchange_api__."""

    def setUp(self):
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        self.api = Exchange.from_address(pointer(torch.Tensor.__dlpack_c_exchange_api__, b"dlpack_exchange_api"))

    def test_version_and_stream(self):
        stream = ctypes.c_void_p(7)
        self.assertEqual((self.api.major, self.api.previous, self.api.stream(1, 0, stream), stream.value), (1, None, 0, None))

    def test_from_an_object_and_back(self):
        before = live()
        x, out, o = torch.arange(6.).reshape(2, 3), ctypes.POINTER(Managed)(), ctypes.py_object()
        self.assertEqual(self.api.from_object(x, out), 0)
        t = out.contents.tensor
        self.assertEqual((t.data, t.ndim, t.code, t.bits, t.shape[:2], t.strides[:2]), (x.data_ptr(), 2, 2, 32, [2, 3], [3, 1]))
        self.assertEqual(self.api.to_object(out, o), 0)
        y = o.value
        self.assertEqual((y.tolist(), y.data_ptr()), (x.tolist(), x.data_ptr()))
        ctypes.pythonapi.Py_DecRef(o)
        self.assertEqual(self.api.from_object(x, out), 0)
        out.contents.deleter(out)
        del x, y, o
        self.assertEqual(live(), before)

    def test_borrowed(self):
        x, t = torch.ones(2, 3, dtype=torch.bfloat16), DLTensor()
        self.assertEqual(self.api.borrow(x, t), 0)
        self.assertEqual((t.data, t.shape[:2], t.code, t.bits), (x.data_ptr(), [2, 3], 4, 16))

    def test_allocated(self):
        before = live()
        like, out, shape = DLTensor(device=Device(1, 0), ndim=2, code=2, bits=64, lanes=1), ctypes.POINTER(Managed)(), (ctypes.c_int64 * 2)(4, 5)
        like.shape = shape
        self.assertEqual(self.api.allocate(like, out, None, FAIL()), 0)
        self.assertEqual((out.contents.tensor.shape[:2], out.contents.tensor.strides[:2]), ([4, 5], [5, 1]))
        out.contents.deleter(out)
        said, like.bits = [], 24
        self.assertEqual(self.api.allocate(like, out, None, FAIL(lambda c, kind, text: said.append(kind))), -1)
        self.assertEqual((said, live()), ([b"BufferError"], before))

    def test_what_cannot_be_given(self):
        for o, error in ((3, TypeError), (torch.ones(2, requires_grad=True), BufferError)):
            with self.assertRaises(error):
                self.api.from_object(o, ctypes.POINTER(Managed)())


class Copies(unittest.TestCase):
    def test_BUG_attributes_are_copied(self):
        x = torch.ones(2)
        x.note = ["n"]
        self.assertIs(copy.copy(x).note, x.note)
        self.assertEqual((copy.deepcopy(x).note, copy.deepcopy(x).note is x.note), (["n"], False))
        self.assertEqual(pickle.loads(pickle.dumps(x)).note, ["n"])

    def test_BUG_deep_copies_share_what_the_originals_shared(self):
        x = torch.arange(6.).reshape(2, 3)
        a, b, c = copy.deepcopy([x, x[1], x.T])
        a[1, 0] = 100
        self.assertEqual((b.tolist(), c[0, 1].item(), b.storage_offset(), x[1, 0].item()), ([100, 4, 5], 100, 3, 3))
        self.assertIsNone(b._base)

    def test_BUG_a_result_is_copied_as_a_leaf(self):
        y = copy.copy(torch.ones(2, requires_grad=True) * 2)
        self.assertEqual((y.is_leaf, y.requires_grad), (True, True))

    def test_BUG_pickles_keep_strides(self):
        for x in (torch.arange(12.).reshape(3, 4)[:, ::2], torch.arange(6.).reshape(2, 3).T, torch.ones(3, 1).expand(3, 4), torch.ones(2, 0)):
            y = pickle.loads(pickle.dumps(x))
            self.assertEqual((y.stride(), y.tolist()), (x.stride(), x.tolist()))
            self.assertIsNone(y._base)

    def test_a_view_s_pickle_is_as_small_as_the_view(self):
        self.assertLess(len(pickle.dumps(torch.ones(100000)[5:10])), 400)

    def test_subclasses_and_slots(self):
        global Sub

        class Sub(torch.Tensor):
            __slots__ = ("slot",)

        x = torch.ones(2).as_subclass(Sub)
        x.slot, x.note = 3, 4
        for y in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
            self.assertEqual((type(y), y.slot, y.note, y.tolist()), (Sub, 3, 4, [1, 1]))

    def test_states_of_their_own(self):
        global Own

        class Own(torch.Tensor):
            def __getstate__(self):
                return "state"

            def __setstate__(self, state):
                self.got = state

        self.assertEqual(pickle.loads(pickle.dumps(torch.ones(1).as_subclass(Own))).got, "state")

    def test_a_deep_copy_of_a_cycle(self):
        x = torch.ones(2)
        x.me = [x]
        y = copy.deepcopy(x)
        self.assertIs(y.me[0], y)


if __name__ == "__main__":
    unittest.main()
