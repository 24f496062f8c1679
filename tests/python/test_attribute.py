"""Attributes and conversions of Tensor: recorded answers of PyTorch 2.15.0, and what a recording cannot show (identity,
warnings, storages)."""
import sys
import unittest
import warnings

from replay import Calls

import wengert as torch


class Attributes(Calls, unittest.TestCase):
    group, least = "attribute", 250


class Operators(Calls, unittest.TestCase):
    group, least = "operators", 400


def warned(f):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        f()
    return [str(w.message) for w in caught]


class Attached(unittest.TestCase):
    def test_BUG_dict_is_there(self):
        x = torch.ones(2)
        x.foo = 3
        self.assertEqual((x.__dict__, vars(x)), ({"foo": 3}, {"foo": 3}))
        x.__dict__["bar"] = 4
        self.assertEqual(x.bar, 4)

    def test_BUG_real_is_written(self):
        x = torch.zeros(2)
        x.real = torch.ones(2)
        self.assertEqual(x.tolist(), [1, 1])
        with self.assertRaises(RuntimeError):
            del x.real

    def test_BUG_reading_only_attributes_say_so(self):
        for name in ("shape", "T", "dtype", "device", "ndim", "is_leaf"):
            with self.assertRaisesRegex(AttributeError, f"attribute '{name}' of 'torch._C.TensorBase' objects is not writable"):
                setattr(torch.ones(2), name, 1)

    def test_BUG_transposing_warns_once_of_a_kind(self):
        script = ("import warnings, wengert as torch\n"
                  "with warnings.catch_warnings(record=True) as w:\n"
                  "    warnings.simplefilter('always')\n"
                  "    for _ in range(2):\n"
                  "        for x in (torch.ones(1, 2, 3), torch.tensor(1.)): x.T\n"
                  "        torch.tensor(1.).mT, torch.tensor(1.).H, torch.tensor(1.).mH\n"
                  "print([str(m.message).split('.')[0] for m in w], sep='')\n")
        import subprocess

        out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
        self.assertEqual(eval(out), ["The use of `x", "Tensor", "Tensor", "Tensor", "Tensor"])


class Resize(unittest.TestCase):
    def test_BUG_a_smaller_shape_keeps_the_storage_and_its_order(self):
        x = torch.arange(6.).reshape(2, 3)
        address, t = x.data_ptr(), x.T
        self.assertEqual(t.resize_(6).tolist(), [0, 1, 2, 3, 4, 5])
        self.assertEqual(t.data_ptr(), address)
        t[0] = 9
        self.assertEqual(x[0, 0].item(), 9)

    def test_BUG_a_view_grows_into_its_storage(self):
        x = torch.arange(6.)
        v = x[2:3].data
        self.assertEqual(v.resize_(4).tolist(), [2, 3, 4, 5])

    def test_BUG_a_larger_shape_begins_with_the_old_elements(self):
        x = torch.arange(4.)
        self.assertEqual(x.resize_(100)[:4].tolist(), [0, 1, 2, 3])

    def test_BUG_memory_of_others_does_not_grow(self):
        data = bytearray(16)
        x = torch.frombuffer(data, dtype=torch.float32)
        self.assertEqual(x.resize_(2).tolist(), [0, 0])
        with self.assertRaisesRegex(RuntimeError, "Trying to resize storage that is not resizable"):
            x.resize_(100)

    def test_sizes_that_overflow_are_refused(self):
        for size in ((-1,), (2 ** 40, 2 ** 40)):
            with self.assertRaisesRegex(RuntimeError, "numel: integer multiplication overflow"):
                torch.ones(2).resize_(size)


class Storages(unittest.TestCase):
    def test_views_share_their_storage(self):
        x = torch.arange(6.).reshape(2, 3)
        a, b = x.untyped_storage(), x[1].untyped_storage()
        self.assertEqual((a.data_ptr(), a.nbytes(), a.size(), len(a)), (x.data_ptr(), 24, 24, 24))
        self.assertEqual(a.data_ptr(), b.data_ptr())
        self.assertEqual(a, b)
        self.assertNotEqual(a, x.clone().untyped_storage())

    def test_bytes_and_elements(self):
        x = torch.tensor([1, 2], dtype=torch.int16)
        self.assertEqual((x.untyped_storage().tolist(), x.untyped_storage()[2]), ([1, 0, 2, 0], 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            s = x[1:].storage()
        self.assertEqual((s.tolist(), s.size(), s[1], s.nbytes(), s.dtype), ([1, 2], 2, 2, 4, torch.int16))
        s[0] = 7
        self.assertEqual(x.tolist(), [7, 2])
        with self.assertRaises(IndexError):
            s[2]

    def test_is_storage(self):
        self.assertTrue(torch.is_storage(torch.ones(1).untyped_storage()))
        self.assertFalse(torch.is_storage(torch.ones(1)))


class Testing(unittest.TestCase):
    """torch.testing; the texts are PyTorch's."""

    CASES = [
        (lambda: (torch.ones(3), torch.tensor([1., 2, 1])), "Tensor-likes are not close!\n\nMismatched elements: 1 / 3 (33.3%)\n"
         "Greatest absolute difference: 1.0 at index (1,) (up to 1e-05 allowed)\nGreatest relative difference: 0.5 at index (1,) (up to 1.3e-06 allowed)"),
        (lambda: (torch.ones(3).long(), torch.tensor([1, 2, 1])), "Tensor-likes are not equal!\n\nMismatched elements: 1 / 3 (33.3%)\n"
         "Greatest absolute difference: 1 at index (1,)\nGreatest relative difference: 0.5 at index (1,)"),
        (lambda: (torch.ones(3), torch.ones(2)), "The values for attribute 'shape' do not match: torch.Size([3]) != torch.Size([2])."),
        (lambda: (torch.ones(3), torch.ones(3).double()), "The values for attribute 'dtype' do not match: torch.float32 != torch.float64."),
        (lambda: (1.0, 1.1), "Scalars are not close!\n\nExpected 1.1 but got 1.0.\nAbsolute difference: 0.10000000000000009 (up to 1e-07 allowed)\n"
         "Relative difference: 0.09090909090909098 (up to 1e-07 allowed)"),
        (lambda: (1, 2), "Scalars are not equal!\n\nExpected 2 but got 1.\nAbsolute difference: 1\nRelative difference: 0.5"),
        (lambda: (1, 1.0), "The (d)types do not match: <class 'int'> != <class 'float'>."),
        (lambda: (True, False), "Booleans mismatch: True is not False"),
        (lambda: (None, 1), "None mismatch: None is not 1"),
        (lambda: ([1, 2.], [1]), "The length of the sequences mismatch: 2 != 1"),
        (lambda: ({"a": 1}, {"b": 1}), "The keys of the mappings do not match:\nMissing keys in the actual mapping: ['b']\n"
         "Additional keys in the actual mapping: ['a']"),
        (lambda: (torch.tensor(1.), torch.tensor(2.)), "Scalars are not close!\n\nExpected 2.0 but got 1.0.\n"
         "Absolute difference: 1.0 (up to 1e-05 allowed)\nRelative difference: 0.5 (up to 1.3e-06 allowed)"),
        (lambda: (torch.tensor(float("nan")), torch.tensor(float("nan"))), "Scalars are not close!\n\nExpected nan but got nan.\n"
         "Absolute difference: nan (up to 1e-05 allowed)\nRelative difference: nan (up to 1.3e-06 allowed)"),
        (lambda: ([torch.ones(2), [torch.ones(1)]], [torch.ones(2), [torch.zeros(1)]]), "Tensor-likes are not close!\n\n"
         "Mismatched elements: 1 / 1 (100.0%)\nGreatest absolute difference: 1.0 at index (0,) (up to 1e-05 allowed)\n"
         "Greatest relative difference: inf at index (0,) (up to 1.3e-06 allowed)\n\nThe failure occurred for item [1][0]"),
        (lambda: (torch.full((2, 3), 1.), torch.full((2, 3), 1.0001)), "Tensor-likes are not close!\n\nMismatched elements: 6 / 6 (100.0%)\n"
         "Greatest absolute difference: 0.00010001659393310547 at index (0, 0) (up to 1e-05 allowed)\n"
         "Greatest relative difference: 0.00010000658949138597 at index (0, 0) (up to 1.3e-06 allowed)"),
        (lambda: (torch.tensor([1, 2], dtype=torch.uint8), torch.tensor([3, 2], dtype=torch.uint8)), "Tensor-likes are not equal!\n\n"
         "Mismatched elements: 1 / 2 (50.0%)\nGreatest absolute difference: 2 at index (0,)\nGreatest relative difference: 0.6666666865348816 at index (0,)"),
        (lambda: (torch.tensor([True, False]), torch.tensor([True, True])), "Tensor-likes are not equal!\n\nMismatched elements: 1 / 2 (50.0%)\n"
         "Greatest absolute difference: 1 at index (1,)\nGreatest relative difference: 1.0 at index (1,)"),
    ]

    def test_assert_close_says_what_differs(self):
        for make, text in self.CASES:
            with self.subTest(text=text), self.assertRaises(AssertionError) as e:
                torch.testing.assert_close(*make())
            self.assertEqual(str(e.exception), text)

    def test_assert_close_passes(self):
        close, nan = torch.testing.assert_close, float("nan")
        close(torch.ones(3), torch.ones(3).double(), check_dtype=False)
        close(1, 1.0, check_dtype=False)
        close(None, None)
        close(torch.tensor([nan, 1]), torch.tensor([nan, 1]), equal_nan=True)
        close(torch.ones(2), torch.ones(2) * 1.5, rtol=1, atol=1)
        close((1, {"a": torch.ones(0)}), [1, {"a": torch.ones(0)}])
        close(torch.nn.Parameter(torch.ones(2)), torch.ones(2))
        close(torch.full((), 1.0), torch.full((), 1.0000001))

    def test_assert_close_refuses(self):
        for pair in ((torch.ones(2), [1., 1.]), ("a", "a"), (torch.ones(2), 1.0), (1.0, torch.tensor(1.0)), (object(), object())):
            with self.assertRaisesRegex(TypeError, "No comparison pair was able to handle inputs of type"):
                torch.testing.assert_close(*pair)
        with self.assertRaisesRegex(ValueError, "Both 'rtol' and 'atol' must be either specified or omitted, but got no atol."):
            torch.testing.assert_close(1., 1., rtol=1)

    def test_a_message_of_ones_own(self):
        for msg, text in (("hey", "hey"), (lambda m: "hey " + m[:7], "hey Scalars")):
            with self.assertRaises(AssertionError) as e:
                torch.testing.assert_close(1, 2, msg=msg)
            self.assertEqual(str(e.exception), text)

    def test_assert_allclose(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.testing.assert_allclose(torch.ones(2), [1., 1.])
            with self.assertRaises(AssertionError):
                torch.testing.assert_allclose(torch.ones(2), torch.ones(2) * 2)

    def test_make_tensor(self):
        make = torch.testing.make_tensor
        for dtype in (torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64):
            t = make(40, 5, dtype=dtype)
            self.assertEqual((t.dtype, tuple(t.shape)), (dtype, (40, 5)))
            self.assertTrue(bool((t >= (0 if dtype in (torch.bool, torch.uint8) else -9)).all()) and bool((t <= 9).all()))
        self.assertTrue(make((3,), dtype=torch.float32, requires_grad=True).requires_grad)
        self.assertFalse(make(3, 4, dtype=torch.float32, noncontiguous=True).is_contiguous())
        self.assertFalse(bool((make(1000, dtype=torch.int8, low=0, high=2, exclude_zero=True) == 0).any()))
        with self.assertRaises(ValueError):
            make(3, dtype=torch.float32, low=2, high=1)


if __name__ == "__main__":
    unittest.main()
