"""What PyTorch 2.15.0 says of calls that it refuses, and the rounding of operands, found by tools/conformance_*.py: the
exception's type and first sentence."""
import unittest

import wengert as torch

ONES = torch.ones(2)


def one_of(name, given):
    return f"TypeError: {name}() received an invalid combination of arguments - got ({given}), but expected one of:"


def byte(v):
    return torch.tensor([v], dtype=torch.uint8)


# An expression and what it raises.
REFUSED = [
    ("torch.eq(3, ONES)", one_of("eq", "int, Tensor")),
    ("torch.eq(ONES, 'a')", one_of("eq", "Tensor, str")),
    ("torch.eq(ONES)", one_of("eq", "Tensor")),
    ("torch.pow(ONES, None)", one_of("pow", "Tensor, NoneType")),
    ("ONES.fmod('a')", one_of("fmod", "str")),
    ("torch.rsub(3, ONES)", one_of("rsub", "int, Tensor")),
    ("torch.masked_fill(ONES, 'a')", one_of("masked_fill", "Tensor, str")),
    ("torch.div(ONES)", one_of("div", "Tensor")),
    ("torch.div(ONES, 'a')", "TypeError: div(): argument 'other' (position 2) must be Tensor, not str"),
    ("torch.add(ONES, 'a')", "TypeError: add(): argument 'other' (position 2) must be Tensor, not str"),
    ("torch.maximum(ONES, 'a')", "TypeError: maximum(): argument 'other' (position 2) must be Tensor, not str"),
    ("torch.narrow(ONES, 0, 'a', 1)", one_of("narrow", "Tensor, int, str, int")),
    ("torch.narrow(ONES, 0, torch.tensor([1]), 1)", "RuntimeError: start must be an 0-dim integral Tensor"),
    ("torch.narrow(ONES, 0, torch.tensor(1.), 1)", "RuntimeError: start must be an 0-dim integral Tensor"),
    ("torch.cat([ONES, None])", "TypeError: expected Tensor as element 1 in argument 0, but got NoneType"),
    ("torch.stack((1, ONES))", "TypeError: expected Tensor as element 0 in argument 0, but got int"),
    ("torch.cat(3)", "TypeError: cat(): argument 'tensors' (position 1) must be tuple of Tensors, not int"),
    ("torch.amax(ONES, 0, out=torch.ones((), dtype=torch.int32))",
     "RuntimeError: Expected the dtype for input and out to match, but got Float for input's dtype and Int for out's dtype"),
    ("torch.linspace(ONES, ONES, 3)", "RuntimeError: linspace only supports 0-dimensional start and end tensors, "
                                      "but got start with 1 dimension(s) and end with 1 dimension(s)"),
    ("~ONES", "TypeError: ~ (operator.invert) is only implemented on integer and Boolean-type tensors"),
    ("ONES.bitwise_not()", "NotImplementedError: \"bitwise_not_cpu\" not implemented for 'Float'"),
    ("torch.tensor([1]).bitwise_and_(1.5)", "RuntimeError: result type Float can't be cast to the desired output type Long"),
    ("torch.tensor(1).bitwise_and_(torch.tensor([1.]))",
     "RuntimeError: output with shape [] doesn't match the broadcast shape [1]"),
    ("torch.tensor([True]).div_(torch.tensor([True]), rounding_mode='floor')",
     "NotImplementedError: \"div_floor_cpu\" not implemented for 'Bool'"),
    ("torch.clamp_min(byte(200), 300)", "RuntimeError: Clamp min value 300 is outside the representable range of Byte"),
    ("torch.clamp_max(torch.tensor([True]), True)", "NotImplementedError: \"clamp_max_scalar_cpu\" not implemented for 'Bool'"),
]
# An expression and its elements.
ANSWERED = [
    ("torch.narrow(ONES, 0, torch.tensor(1), 1)", [1.0]),
    ("torch.clamp_max(byte(200), 300)", [200]),
    ("torch.clamp_min(byte(200), -5)", [200]),
    ("byte(200).clamp_max_(300)", [200]),
    ("torch.clamp(torch.tensor([True]), torch.tensor(True))", [True]),
    ("torch.clamp(torch.tensor([1], dtype=torch.int8), torch.tensor(3))", [3]),
    ("torch.div(torch.tensor([0.1], dtype=torch.half), torch.tensor(0.1), rounding_mode='floor')", [0.0]),
    ("torch.ops.aten.add(ONES, ONES)", [2.0, 2.0]),
]


class Refusals(unittest.TestCase):
    def test_what_is_refused(self):
        for text, want in REFUSED:
            with self.subTest(text):
                try:
                    got = repr(eval(text))
                except Exception as error:  # noqa: BLE001 - the answer
                    got = f"{type(error).__name__}: {error}".split("\n")[0].split(". ")[0].rstrip(".")
                self.assertEqual(got, want)

    def test_what_is_answered(self):
        for text, want in ANSWERED:
            with self.subTest(text):
                self.assertEqual(eval(text).tolist(), want)

    def test_names_of_shapes_taken_in_place(self):
        x = torch.ones(2, 1, requires_grad=True)
        for call, want in (("t_()", "TBackward1"), ("squeeze_()", "SqueezeBackward3"), ("squeeze_(1)", "SqueezeBackward4"),
                           ("squeeze_((1,))", "SqueezeBackward5"), ("unsqueeze_(0)", "UnsqueezeBackward1"),
                           ("transpose_(0, 1)", "TransposeBackward1"), ("as_strided_((2,), (1,))", "AsStridedBackward1")):
            with self.subTest(call):
                y = x.clone()
                self.assertIs(eval("y." + call), y)
                self.assertEqual(type(y.grad_fn).__name__, want)

    def test_numbers_too_large_for_half(self):
        x = torch.zeros(2, 2, dtype=torch.half)
        x[[0], [1]] = 1e30
        self.assertEqual(x.tolist(), [[0, float("inf")], [0, 0]])
        with self.assertRaisesRegex(RuntimeError, "^value cannot be converted to type c10::Half without overflow"):
            x[[0]] = 1e30


if __name__ == "__main__":
    unittest.main()
