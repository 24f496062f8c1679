"""dtype, device, Size, layouts, finfo, iinfo, Generator, named results: recorded answers of PyTorch 2.15.0, and pickles."""
import pickle
import unittest

from replay import Calls
from running import Folder

import wengert as torch


class Types(Calls, unittest.TestCase):
    group, least = "types", 180


class Pickled(Folder):
    """Written by one process, read by another, each with and without as_torch()."""

    WRITE = """
import pickle, sys
{start}
def main():
    x = torch.arange(6.).reshape(2, 3)
    x.note = 'n'
    p = torch.nn.Parameter(torch.ones(2))
    p.mark = 1
    things = [torch.float32, torch.Size([2, 3]), torch.device('cuda:1'), torch.strided, torch.channels_last, x, x[:, ::2].detach(), p,
              torch.tensor([1., 3.]).max(0), torch.Tensor, torch.nn.Parameter, torch.add, torch.Tensor.add, torch.Generator().manual_seed(3),
              torch.FloatTensor, torch.ones(2, dtype=torch.bfloat16)]
    pickle.dump(things, open('file', 'wb'), protocol=int(sys.argv[1]))
main()
"""
    READ = """
import pickle
{start}
d, s, v, l, f, x, half, p, m, T, P, add, method, g, FT, b = pickle.load(open('file', 'rb'))
assert d is torch.float32 and l is torch.strided and f is torch.channels_last, (d, l, f)
assert type(s) is torch.Size and s == (2, 3) and v == torch.device('cuda:1')
assert x.tolist() == [[0, 1, 2], [3, 4, 5]] and x.note == 'n' and type(x) is torch.Tensor
assert half.tolist() == [[0, 2], [3, 5]] and half.stride() == (3, 2)
assert type(p) is torch.nn.Parameter and p.requires_grad and p.mark == 1
assert type(m) is torch.return_types.max and m.values.item() == 3 and m.indices.item() == 1
assert T is torch.Tensor and P is torch.nn.Parameter and add is torch.add and method is torch.Tensor.add
assert g.initial_seed() == 3 and FT is torch.FloatTensor and b.dtype is torch.bfloat16
print('fine')
"""
    PLAIN, NAMED = "import wengert as torch", "import wengert; wengert.as_torch(); import torch"

    def test_BUG_pickles_resolve_with_and_without_as_torch(self):
        for writer in (self.PLAIN, self.NAMED):
            for reader in (self.PLAIN, self.NAMED):
                for protocol in ("2", "5"):
                    with self.subTest(writer=writer, reader=reader, protocol=protocol):
                        done = self.python("-c", self.WRITE.format(start=writer), protocol)
                        self.assertEqual(done.code, 0, msg=repr(done))
                        self.assertEqual(self.python("-c", self.READ.format(start=reader)).out, "fine\n")


class Small(unittest.TestCase):
    def test_hashes_and_equality(self):
        self.assertEqual(len({torch.device("cpu"), torch.device("cpu"), torch.device("cuda"), torch.device("cuda:0")}), 3)
        self.assertEqual({torch.float32: 1}[torch.float], 1)
        self.assertEqual({torch.Size([2]): 1}[(2,)], 1)

    def test_BUG_sizes_hold_plain_ints(self):
        s = torch.Size([True, 2])
        self.assertIs(type(s[0]), int)
        with self.assertRaises(ValueError):
            torch.Size([2 ** 70])

    def test_BUG_indices_of_devices_are_not_negative(self):
        with self.assertRaisesRegex(RuntimeError, "Device index must not be negative"):
            torch.device("cpu", -1)
        with self.assertRaisesRegex(RuntimeError, "Could not parse device index"):
            torch.device("cuda:99999999999999999999")

    def test_BUG_a_subclass_of_size_is_pickled(self):
        self.assertEqual(pickle.loads(pickle.dumps(torch.ones(2, 3).shape)), (2, 3))

    def test_limits_of_unsigned_dtypes(self):
        self.assertEqual([torch.iinfo(d).max for d in (torch.uint8, torch.uint16, torch.uint32, torch.uint64)], [2 ** n - 1 for n in (8, 16, 32, 64)])


if __name__ == "__main__":
    unittest.main()
