"""The text of tensors: recorded answers of PyTorch 2.15.0 to random tensors, and of subclasses."""
import unittest

from replay import Recorded, recorded, tool

import wengert as torch


class Texts(Recorded, unittest.TestCase):
    data = "repr"

    def test_every_text_as_pytorch(self):
        script, cases = tool("conformance_repr"), recorded("repr")["cases"]
        self.assertGreaterEqual(len(cases), 300)
        for case, want in cases:
            with self.subTest(case=case):
                self.assertEqual(script.evaluate(torch, case), want)


class Subclasses(unittest.TestCase):
    def test_BUG_str_and_format_use_a_class_own_repr(self):
        class Mine(torch.Tensor):
            def __repr__(self):
                return "mine"

        x = torch.ones(2).as_subclass(Mine)
        self.assertEqual((repr(x), str(x), f"{x}", f"{[x]}"), ("mine", "mine", "mine", "[mine]"))

    def test_BUG_parameters_of_subclasses_name_both(self):
        class P(torch.nn.Parameter):
            pass

        class A(torch.Tensor):
            pass

        self.assertEqual(repr(P(torch.ones(2))), "Parameter containing:\nParameter(P([1., 1.], requires_grad=True))")
        self.assertEqual(repr(torch.nn.Parameter(torch.ones(2).as_subclass(A))), "Parameter(A([1., 1.], requires_grad=True))")
        self.assertEqual(repr(torch.nn.Parameter(torch.ones(2), False)), "Parameter containing:\ntensor([1., 1.])")


if __name__ == "__main__":
    unittest.main()
