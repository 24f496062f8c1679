"""Tensors from data, factories, legacy constructors: values and errors recorded from PyTorch 2.15.0.

An expectation that starts with "!! " is an exception: its type and the start of its text.
"""
import unittest
import warnings

import wengert as torch

try:
    import numpy as np
except ImportError:
    np = None

W4_TENSOR_FROM_DATA = [
    ('torch.tensor(None)', '!! RuntimeError Could not infer dtype of NoneType'),
    ('torch.tensor([None])', '!! RuntimeError Could not infer dtype of NoneType'),
    ('torch.tensor([1,None])', '!! RuntimeError Could not infer dtype of NoneType'),
    ('torch.tensor("a")', "!! TypeError new(): invalid data type 'str'"),
    ('torch.tensor(["a"])', "!! ValueError too many dimensions 'str'"),
    ('torch.tensor(["ab", 1])', "!! ValueError too many dimensions 'str'"),
    ('torch.tensor([1,"a"])', "!! TypeError new(): invalid data type 'str'"),
    ('torch.tensor([[1,2],[3]])', '!! ValueError expected sequence of length 2 at dim 1 (got 1)'),
    ('torch.tensor([[1,2],3])', '!! TypeError not a sequence'),
    ('torch.tensor([1,[2]])', "!! TypeError 'list' object cannot be interpreted as an integer"),
    ('torch.tensor([[1,2],[3,4,5]])', '!! ValueError expected sequence of length 2 at dim 1 (got 3)'),
    ('torch.tensor([[],[]])', 'tensor([], size=(2, 0))'),
    ('torch.tensor([[],[1]])', 'tensor([], size=(2, 0))'),
    ('torch.tensor([[[]]])', 'tensor([], size=(1, 1, 0))'),
    ('torch.tensor([1.5], dtype=torch.int64)', 'tensor([1])'),
    ('torch.tensor([1.5,2], dtype=torch.bool)', 'tensor([True, True])'),
    ('torch.tensor([300], dtype=torch.uint8)',
     '!! RuntimeError value cannot be converted to type uint8 without overflow'),
    ('torch.tensor([-1], dtype=torch.uint8)', 'tensor([255], dtype=torch.uint8)'),
    ('torch.tensor([200], dtype=torch.int8)',
     '!! RuntimeError value cannot be converted to type int8 without overflow'),
    ('torch.tensor(70000, dtype=torch.int16)',
     '!! RuntimeError value cannot be converted to type int16 without overflow'),
    ('torch.tensor([2**40], dtype=torch.int32)',
     '!! RuntimeError value cannot be converted to type int32 without overflow'),
    ('torch.tensor([2**63])', '!! ValueError Overflow when unpacking long long'),
    ('torch.tensor([2**63], dtype=torch.float32)', 'tensor([9.2234e+18])'),
    ('torch.tensor([-2**63])', 'tensor([-9223372036854775808])'),
    ('torch.tensor([2**400], dtype=torch.float64)', 'tensor([2.5822e+120], dtype=torch.float64)'),
    ('torch.tensor([2**64], dtype=torch.bool)', 'tensor([True])'),
    ('torch.tensor([1e400])', 'tensor([inf])'),
    ('torch.tensor([1e300])', 'tensor([inf])'),
    ('torch.tensor([1e300], dtype=torch.float16)', 'tensor([inf], dtype=torch.float16)'),
    ("torch.tensor([float('nan')], dtype=torch.int64)",
     '!! RuntimeError value cannot be converted to type int64 without overflow'),
    ('torch.tensor([1e30], dtype=torch.int64)',
     '!! RuntimeError value cannot be converted to type int64 without overflow'),
    ('torch.tensor([1e10], dtype=torch.int32)',
     '!! RuntimeError value cannot be converted to type int32 without overflow'),
    ("torch.tensor([float('inf')], dtype=torch.uint8)",
     '!! RuntimeError value cannot be converted to type uint8 without overflow'),
    ('torch.tensor([True,2])', 'tensor([1, 2])'),
    ('torch.tensor([True,2.5])', 'tensor([1.0000, 2.5000])'),
    ('torch.tensor([1+2j], dtype=torch.float32)', '!! TypeError must be real number, not complex'),
    ('torch.tensor(torch.ones(2))', 'tensor([1., 1.])'),
    ('torch.tensor(torch.ones(2, requires_grad=True))', 'tensor([1., 1.])'),
    ('torch.tensor(torch.ones(2), dtype=torch.float64, requires_grad=True)',
     'tensor([1., 1.], dtype=torch.float64, requires_grad=True)'),
    ('torch.tensor([torch.tensor(1), torch.tensor(2.)])', 'tensor([1., 2.])'),
    ('torch.tensor([torch.ones(1), torch.tensor(2.)])', 'tensor([1., 2.])'),
    ('torch.tensor([torch.ones(2), torch.tensor(2.)])',
     '!! ValueError only one element tensors can be converted to Python scalars'),
    ('torch.tensor([torch.tensor(1., requires_grad=True)])', 'tensor([1.])'),
    ('torch.tensor([torch.tensor(1), 2.5])', 'tensor([1.0000, 2.5000])'),
    ('torch.tensor([torch.ones(1,dtype=torch.float64), 2.5])', 'tensor([1.0000, 2.5000], dtype=torch.float64)'),
    ('torch.tensor([torch.empty(0), 2.5])',
     '!! ValueError only one element tensors can be converted to Python scalars'),
    ('torch.tensor(range(5))', 'tensor([0, 1, 2, 3, 4])'),
    ('torch.tensor((1,2,3))', 'tensor([1, 2, 3])'),
    ('torch.tensor({1,2})', '!! RuntimeError Could not infer dtype of set'),
    ('torch.tensor({1:2})', '!! RuntimeError Could not infer dtype of dict'),
    ('torch.tensor({0:2})', '!! RuntimeError Could not infer dtype of dict'),
    ('torch.tensor(object())', '!! RuntimeError Could not infer dtype of object'),
    ('torch.tensor(b"ab")', "!! TypeError new(): invalid data type 'bytes'"),
    ('torch.tensor(bytearray(b"ab"))', 'tensor([97, 98])'),
    ('torch.tensor(memoryview(b"ab"))', 'tensor([97, 98])'),
    ('torch.tensor([b"ab"])', "!! TypeError new(): invalid data type 'bytes'"),
    ('torch.tensor(x for x in [1])', '!! RuntimeError Could not infer dtype of generator'),
    ('torch.tensor([1,2], dtype=torch.int64, requires_grad=True)',
     '!! RuntimeError Only Tensors of floating point and complex dtype can require gradients'),
    ('torch.tensor([1.,2], requires_grad=True)', 'tensor([1., 2.], requires_grad=True)'),
    ('torch.tensor()', '!! TypeError tensor() missing 1 required positional arguments: "data"'),
    ('torch.tensor(1,2)', '!! TypeError tensor() takes 1 positional argument but 2 were given'),
    ('torch.tensor(1, foo=2)', "!! TypeError tensor() got an unexpected keyword argument 'foo'"),
    ('torch.tensor(data=[1,2])', 'tensor([1, 2])'),
    ('torch.tensor(1, dtype=int)', 'tensor(1)'),
    ('torch.tensor(1, dtype=float)', 'tensor(1., dtype=torch.float64)'),
    ('torch.tensor(1, dtype="float32")', "!! TypeError tensor(): argument 'dtype' must be torch.dtype, not str"),
    ('torch.tensor(1, dtype=1)', "!! TypeError tensor(): argument 'dtype' must be torch.dtype, not int"),
    ('torch.tensor(1, device=3.5)', "!! TypeError tensor(): argument 'device' must be torch.device, not float"),
    ('torch.tensor(1, requires_grad=1)', "!! TypeError tensor(): argument 'requires_grad' must be bool, not int"),
    ('torch.tensor(1., requires_grad=None)',
     "!! TypeError tensor(): argument 'requires_grad' must be bool, not NoneType"),
    ('torch.tensor(1., names=None)', "!! TypeError tensor() got an unexpected keyword argument 'names'"),
    ('torch.tensor([1,2], names=("a",))', "!! TypeError tensor() got an unexpected keyword argument 'names'"),
    ('torch.tensor(torch.Size([1,2]))', 'tensor([1, 2])'),
    ('torch.tensor(__import__("fractions").Fraction(1,2))', '!! RuntimeError Could not infer dtype of Fraction'),
    ('torch.tensor(__import__("decimal").Decimal(1))', '!! RuntimeError Could not infer dtype of decimal.Decimal'),
    ('torch.tensor([__import__("decimal").Decimal(1)])', '!! RuntimeError Could not infer dtype of decimal.Decimal'),
    ('torch.tensor([__import__("decimal").Decimal(1)], dtype=torch.float32)', 'tensor([1.])'),
    ('torch.tensor([__import__("fractions").Fraction(1,2)], dtype=torch.float32)', 'tensor([0.5000])'),
    ('torch.tensor([__import__("fractions").Fraction(1,2)], dtype=torch.int32)',
     "!! TypeError 'Fraction' object cannot be interpreted as an integer"),
    ('torch.tensor(__import__("array").array(\'d\',[1,2]))', 'tensor([1., 2.])'),
    ('torch.tensor(__import__("collections").deque([1,2]))', 'tensor([1, 2])'),
    ('torch.tensor(1.5).dtype', 'torch.float32'),
    ('torch.tensor([0.1], dtype=torch.float16)', 'tensor([0.1000], dtype=torch.float16)'),
    ('torch.tensor([0.1], dtype=torch.bfloat16)', 'tensor([0.1001], dtype=torch.bfloat16)'),
    ('torch.tensor([None], dtype=torch.float32)', '!! TypeError must be real number, not NoneType'),
    ('torch.tensor(["a"], dtype=torch.float32)', "!! ValueError too many dimensions 'str'"),
    ('torch.tensor("a", dtype=torch.float32)', "!! TypeError new(): invalid data type 'str'"),
    ('torch.tensor([[1,"a"]], dtype=torch.float32)', '!! TypeError must be real number, not str'),
    ('torch.tensor(torch.float32)', '!! RuntimeError Could not infer dtype of torch.dtype'),
    ('torch.tensor([[[1],[2]],[[3],[4,5]]])', '!! ValueError expected sequence of length 1 at dim 2 (got 2)'),
    ('torch.tensor([[1,2],None])', '!! RuntimeError Could not infer dtype of NoneType'),
    ('torch.tensor([[1,2],None], dtype=torch.float32)', '!! TypeError not a sequence'),
    ('torch.tensor([[1,2],{3,4}], dtype=torch.float32)', 'tensor([[1., 2.],         [3., 4.]])'),
    ('torch.tensor([[1,2],{3,4}])', '!! RuntimeError Could not infer dtype of set'),
    ('torch.tensor([[1,2],(3,4)])', 'tensor([[1, 2],         [3, 4]])'),
    ('torch.tensor([[1,2],torch.tensor([3,4])])', 'tensor([[1, 2],         [3, 4]])'),
    ('torch.tensor([torch.tensor([3,4])])',
     '!! TypeError only integer tensors of a single element can be converted to an index'),
    ('torch.tensor([torch.tensor(3)], dtype=torch.bool)', 'tensor([True])'),
    ('torch.tensor([torch.tensor(3.7)], dtype=torch.int32)',
     '!! TypeError only integer tensors of a single element can be converted to an index'),
    ('torch.tensor([1], device=torch.device("cpu"))', 'tensor([1])'),
    ('torch.tensor([[1,2],[3,4]], dtype=torch.float32)[0]', 'tensor([1., 2.])'),
]

FACTORIES_SIZES_AND_KEYWORDS = [
    ('torch.zeros()', '!! TypeError zeros() missing 1 required positional arguments: "size"'),
    ('torch.zeros(2,3)', 'tensor([[0., 0., 0.],         [0., 0., 0.]])'),
    ('torch.zeros((2,3))', 'tensor([[0., 0., 0.],         [0., 0., 0.]])'),
    ('torch.zeros([2,3], dtype=torch.int32)', 'tensor([[0, 0, 0],         [0, 0, 0]], dtype=torch.int32)'),
    ('torch.zeros(torch.Size([2]))', 'tensor([0., 0.])'),
    ('torch.zeros(torch.tensor(2))', 'tensor([0., 0.])'),
    ('torch.zeros(2.0)', "!! TypeError zeros(): argument 'size' (position 1) must be tuple of ints, not float"),
    ('torch.zeros(2, 3.0)',
     '!! TypeError zeros(): argument \'size\' failed to unpack the object at pos 2 with error "type must be '
     'tuple of ints,but got float"'),
    ('torch.zeros(-1)', '!! RuntimeError zeros: Dimension size must be non-negative'),
    ('torch.zeros(2,-1)', '!! RuntimeError zeros: Dimension size must be non-negative'),
    ('torch.zeros("a")', "!! TypeError zeros(): argument 'size' (position 1) must be tuple of ints, not str"),
    ('torch.zeros(size=(2,))', 'tensor([0., 0.])'),
    ('torch.zeros(size=2)', "!! TypeError zeros(): argument 'size' must be tuple of ints, not int"),
    ('torch.zeros([2,"a"])',
     '!! TypeError zeros(): argument \'size\' failed to unpack the object at pos 2 with error "type must be '
     'tuple of ints,but got str"'),
    ('torch.zeros(())', 'tensor(0.)'),
    ('torch.zeros(2, out=torch.empty(3))', 'tensor([0., 0.])'),
    ('torch.zeros(2, out=torch.empty(2, dtype=torch.int32))', 'tensor([0, 0], dtype=torch.int32)'),
    ('torch.zeros(2, out=torch.empty(2, dtype=torch.int32), dtype=torch.float32)',
     '!! RuntimeError dtype Float does not match dtype of out parameter (Int)'),
    ('torch.zeros(2, out=torch.empty(2), requires_grad=True)', 'tensor([0., 0.], requires_grad=True)'),
    ('torch.zeros(2, out=3)', "!! TypeError zeros(): argument 'out' must be Tensor, not int"),
    ('torch.zeros(2, layout=torch.strided)', 'tensor([0., 0.])'),
    ('torch.zeros(2, layout=None)', 'tensor([0., 0.])'),
    ('torch.zeros(2, layout=3)', "!! TypeError zeros(): argument 'layout' must be torch.layout, not int"),
    ('torch.zeros(2, pin_memory=None)', 'tensor([0., 0.])'),
    ('torch.zeros(2, memory_format=torch.contiguous_format)',
     "!! TypeError zeros() got an unexpected keyword argument 'memory_format'"),
    ('torch.zeros(2, requires_grad=None)', 'tensor([0., 0.])'),
    ('torch.zeros(2, requires_grad=True, dtype=torch.int32)',
     '!! RuntimeError Only Tensors of floating point and complex dtype can require gradients'),
    ('torch.zeros(2, names=("a",))', "!! TypeError zeros() got an unexpected keyword argument 'names'"),
    ('torch.zeros(2, names=None)', "!! TypeError zeros() got an unexpected keyword argument 'names'"),
    ('torch.empty(2,-3)', '!! RuntimeError Trying to create tensor with negative dimension -3: [2, -3]'),
    ('torch.ones(2**63)',
     '!! TypeError ones(): argument \'size\' failed to unpack the object at pos 1 with error "Overflow when '
     'unpacking long long'),
    ('torch.full((2,), 1)', 'tensor([1, 1])'),
    ('torch.full((2,), 1.5)', 'tensor([1.5000, 1.5000])'),
    ('torch.full((2,), True)', 'tensor([True, True])'),
    ('torch.full((2,), "a")', "!! TypeError full(): argument 'fill_value' (position 2) must be Number, not str"),
    ('torch.full((2,), torch.tensor(3))', 'tensor([3, 3])'),
    ('torch.full((2,), torch.tensor([3]))',
     "!! TypeError full(): argument 'fill_value' (position 2) must be Number, not Tensor"),
    ('torch.full((2,), torch.tensor([3,4]))',
     "!! TypeError full(): argument 'fill_value' (position 2) must be Number, not Tensor"),
    ('torch.full((2,), torch.tensor(3., requires_grad=True))',
     "!! TypeError full(): argument 'fill_value' (position 2) must be Number, not Tensor"),
    ('torch.full(2, 3)', "!! TypeError full(): argument 'size' (position 1) must be tuple of ints, not int"),
    ('torch.full(2, 3, 4)', '!! TypeError full() takes 2 positional arguments but 3 were given'),
    ('torch.full((2,))', '!! TypeError full() missing 1 required positional arguments: "fill_value"'),
    ('torch.full((2,), 300, dtype=torch.uint8)',
     '!! RuntimeError value cannot be converted to type uint8_t without overflow'),
    ('torch.full((2,), -1, dtype=torch.uint8)', 'tensor([255, 255], dtype=torch.uint8)'),
    ('torch.full((2,), 1.5, dtype=torch.int32)', 'tensor([1, 1], dtype=torch.int32)'),
    ("torch.full((2,), float('nan'), dtype=torch.int32)",
     '!! RuntimeError value cannot be converted to type int without overflow'),
    ('torch.full((2,), 2**64)', '!! OverflowError int too big to convert'),
    ('torch.full((2,), 1, out=torch.empty(2))', 'tensor([1., 1.])'),
    ('torch.full((2,), 1, out=torch.empty(3), dtype=torch.float32)', 'tensor([1., 1.])'),
    ('torch.full((2,), 1, names=None)', "!! TypeError full() got an unexpected keyword argument 'names'"),
    ('torch.full(size=(2,), fill_value=1)', 'tensor([1, 1])'),
    ('torch.full((-2,), 1)', '!! RuntimeError Trying to create tensor with negative dimension -2: [-2]'),
    ('torch.full((2,), None)', "!! TypeError full(): argument 'fill_value' (position 2) must be Number, not NoneType"),
    ('torch.eye(3)', 'tensor([[1., 0., 0.],         [0., 1., 0.],         [0., 0., 1.]])'),
    ('torch.eye(3, 2)', 'tensor([[1., 0.],         [0., 1.],         [0., 0.]])'),
    ('torch.eye(3, m=2)', 'tensor([[1., 0.],         [0., 1.],         [0., 0.]])'),
    ('torch.eye(-1)', '!! RuntimeError n must be greater or equal to 0, got -1'),
    ('torch.eye(3, -1)', '!! RuntimeError m must be greater or equal to 0, got -1'),
    ('torch.eye(2.5)', "!! TypeError eye(): argument 'n' (position 1) must be int, not float"),
    ('torch.eye(0)', 'tensor([], size=(0, 0))'),
    ('torch.eye(2, out=torch.empty(0))', 'tensor([[1., 0.],         [0., 1.]])'),
    ('torch.eye(2, out=torch.empty(0, dtype=torch.int64))', 'tensor([[1, 0],         [0, 1]])'),
    ('torch.eye(n=2)', 'tensor([[1., 0.],         [0., 1.]])'),
    ('torch.eye(2, dtype=torch.bool)', 'tensor([[ True, False],         [False,  True]])'),
    ('torch.eye(2, requires_grad=True)', 'tensor([[1., 0.],         [0., 1.]], requires_grad=True)'),
    ('torch.empty_strided((2,3),(1,))',
     '!! RuntimeError dimensionality of sizes (2) must match dimensionality of strides (1)'),
    ('torch.empty_strided(2, 1)',
     "!! TypeError empty_strided(): argument 'size' (position 1) must be tuple of ints, not int"),
    ('torch.empty_strided((2,-1),(1,1))',
     '!! RuntimeError Trying to create tensor with negative dimension -1: [2, -1]'),
    ('torch.scalar_tensor(3)', 'tensor(3.)'),
    ('torch.scalar_tensor(3.5, dtype=torch.int32)', 'tensor(3, dtype=torch.int32)'),
    ('torch.scalar_tensor(True)', 'tensor(1.)'),
    ('torch.scalar_tensor("a")', "!! TypeError scalar_tensor(): argument 's' (position 1) must be Number, not str"),
    ('torch.scalar_tensor(torch.tensor(3))', 'tensor(3.)'),
    ('torch.scalar_tensor(3, requires_grad=True)', 'tensor(3., requires_grad=True)'),
    ('torch.zeros(2, out=torch.empty(2, requires_grad=True))', '!! RuntimeError aten::zeros(): functions with out='),
    ('torch.ones(2, dtype=None)', 'tensor([1., 1.])'),
    ('torch.ones(2, device=None)', 'tensor([1., 1.])'),
    ('torch.eye(2)[0]', 'tensor([1., 0.])'),
    ('torch.empty((2,3), memory_format=torch.channels_last)',
     '!! RuntimeError required rank 4 tensor to use channels_last format'),
]

ARANGE_AND_LINSPACE = [
    ('torch.arange(5)', 'tensor([0, 1, 2, 3, 4])'),
    ('torch.arange(5.)', 'tensor([0., 1., 2., 3., 4.])'),
    ('torch.arange(1,5)', 'tensor([1, 2, 3, 4])'),
    ('torch.arange(1,5,2)', 'tensor([1, 3])'),
    ('torch.arange(1,5,2.)', 'tensor([1., 3.])'),
    ('torch.arange(5, dtype=torch.float16)', 'tensor([0., 1., 2., 3., 4.], dtype=torch.float16)'),
    ('torch.arange(end=5)', 'tensor([0, 1, 2, 3, 4])'),
    ('torch.arange(start=1, end=5)', 'tensor([1, 2, 3, 4])'),
    ('torch.arange(1, end=5)', 'tensor([1, 2, 3, 4])'),
    ('torch.arange(5, start=1)',
     '!! TypeError arange() received an invalid combination of arguments - got (int, start=int), but expected one of:'),
    ('torch.arange(1, step=2)',
     '!! TypeError arange() received an invalid combination of arguments - got (int, step=int), but expected one of:'),
    ('torch.arange(start=1)', '!! TypeError arange() missing 1 required positional arguments: "end"'),
    ('torch.arange()',
     '!! TypeError arange() received an invalid combination of arguments - got (), but expected one of:'),
    ('torch.arange("a")', "!! TypeError arange(): argument 'end' (position 1) must be Number, not str"),
    ('torch.arange(1, "a")',
     '!! TypeError arange() received an invalid combination of arguments - got (int, str), but expected one of:'),
    ('torch.arange(0, 5, 0)', '!! RuntimeError step must be nonzero'),
    ('torch.arange(0, 5, -1)', '!! RuntimeError upper bound and lower bound inconsistent with step sign'),
    ("torch.arange(0, float('inf'))", '!! RuntimeError unsupported range: 0 -> inf'),
    ("torch.arange(0, float('nan'))", '!! RuntimeError unsupported range: 0 -> nan'),
    ('torch.arange(True)', 'tensor([0])'),
    ('torch.arange(5, dtype=torch.bool)', '!! NotImplementedError "arange_cpu" not implemented for \'Bool\''),
    ('torch.arange(torch.tensor(5))', 'tensor([0, 1, 2, 3, 4])'),
    ('torch.arange(torch.tensor(5.))', 'tensor([0., 1., 2., 3., 4.])'),
    ('torch.arange(torch.tensor([5]))',
     "!! TypeError arange(): argument 'end' (position 1) must be Number, not Tensor"),
    ('torch.arange(torch.tensor([5,6]))',
     "!! TypeError arange(): argument 'end' (position 1) must be Number, not Tensor"),
    ('torch.arange(5, requires_grad=True)',
     '!! RuntimeError Only Tensors of floating point and complex dtype can require gradients'),
    ('torch.arange(5., requires_grad=True)', 'tensor([0., 1., 2., 3., 4.], requires_grad=True)'),
    ('torch.arange(5, out=torch.empty(0))', 'tensor([0., 1., 2., 3., 4.])'),
    ('torch.arange(5, out=torch.empty(5, dtype=torch.int64))', 'tensor([0, 1, 2, 3, 4])'),
    ('torch.arange(5, out=torch.empty(3))', 'tensor([0., 1., 2., 3., 4.])'),
    ('torch.arange(5, out=torch.empty(0), dtype=torch.int64)',
     '!! RuntimeError dtype Long does not match dtype of out parameter (Float)'),
    ('torch.arange(1e30)', '!! RuntimeError invalid size, possible overflow?'),
    ('torch.arange(5, layout=torch.strided, device="cpu", pin_memory=False)', 'tensor([0, 1, 2, 3, 4])'),
    ('torch.arange(5, None)',
     '!! TypeError arange() received an invalid combination of arguments - got (int, NoneType), but expected one of:'),
    ('torch.arange(0, 5, None)',
     '!! TypeError arange() received an invalid combination of arguments - got (int, int, NoneType), but e'
     'xpected one of:'),
    ('torch.linspace(0, 1, 5)', 'tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])'),
    ('torch.linspace(0, 1)',
     '!! TypeError linspace() received an invalid combination of arguments - got (int, int), but expected one of:'),
    ('torch.linspace(0, 1, steps=5)', 'tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])'),
    ('torch.linspace(start=0, end=1, steps=5)', 'tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])'),
    ('torch.linspace(0, 1, -1)', '!! RuntimeError number of steps must be non-negative'),
    ('torch.linspace(0, 1, 0)', 'tensor([])'),
    ('torch.linspace(0, 1, 2.5)',
     '!! TypeError linspace() received an invalid combination of arguments - got (int, int, float), but ex'
     'pected one of:'),
    ('torch.linspace(0, 1, 5, dtype=torch.int32)', 'tensor([0, 0, 0, 0, 1], dtype=torch.int32)'),
    ('torch.linspace(torch.tensor(0.), torch.tensor(1.), 5)', 'tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])'),
    ('torch.linspace(torch.tensor(0.), 1, 5)', 'tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])'),
    ('torch.linspace(torch.tensor([0.]), 1, 5)',
     '!! RuntimeError linspace only supports 0-dimensional start and end tensors, but got start with 1 dimension(s)'),
    ('torch.linspace(0, 1, 5, out=torch.empty(5))', 'tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])'),
    ('torch.linspace(0, 1, 5, out=torch.empty(5, dtype=torch.int32))', 'tensor([0, 0, 0, 0, 1], dtype=torch.int32)'),
    ('torch.linspace(0, 1, 5, requires_grad=True)',
     'tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000], requires_grad=True)'),
    ('torch.linspace(0, 1, None)',
     '!! TypeError linspace() received an invalid combination of arguments - got (int, int, NoneType), but'
     ' expected one of:'),
    ('torch.arange(5, out=torch.empty(5, requires_grad=True))', '!! RuntimeError aten::arange(): functions with out='),
]

LIKE_AND_NEW = [
    ('torch.zeros_like(torch.ones(2,3))', 'tensor([[0., 0., 0.],         [0., 0., 0.]])'),
    ('torch.zeros_like(torch.ones(2,3), dtype=torch.int32)',
     'tensor([[0, 0, 0],         [0, 0, 0]], dtype=torch.int32)'),
    ('torch.zeros_like([1,2])', "!! TypeError zeros_like(): argument 'input' (position 1) must be Tensor, not list"),
    ('torch.zeros_like(input=torch.ones(2))', 'tensor([0., 0.])'),
    ('torch.zeros_like()', '!! TypeError zeros_like() missing 1 required positional arguments: "input"'),
    ('torch.zeros_like(torch.ones(2,3).t(), memory_format=torch.contiguous_format).stride()', '(2, 1)'),
    ('torch.zeros_like(torch.ones(2,3).t(), memory_format=torch.preserve_format).stride()', '(1, 3)'),
    ('torch.zeros_like(torch.ones(2,3).t()).stride()', '(1, 3)'),
    ('torch.zeros_like(torch.ones(2,3), memory_format=torch.channels_last)',
     '!! RuntimeError required rank 4 tensor to use channels_last format'),
    ('torch.ones_like(torch.ones(2,3,4,5), memory_format=torch.channels_last).stride()', '(60, 1, 15, 3)'),
    ('torch.ones_like(torch.ones(2, requires_grad=True))', 'tensor([1., 1.])'),
    ('torch.ones_like(torch.ones(2), requires_grad=True)', 'tensor([1., 1.], requires_grad=True)'),
    ('torch.ones_like(torch.ones(2), layout=torch.strided, device="cpu", pin_memory=False)', 'tensor([1., 1.])'),
    ('torch.full_like(torch.ones(2), 3)', 'tensor([3., 3.])'),
    ('torch.full_like(torch.ones(2,dtype=torch.int32), 3.5)', 'tensor([3, 3], dtype=torch.int32)'),
    ('torch.full_like(torch.ones(2), True)', 'tensor([1., 1.])'),
    ('torch.full_like(torch.ones(2), torch.tensor(3.))', 'tensor([3., 3.])'),
    ('torch.full_like(torch.ones(2), torch.tensor([3.]))',
     "!! TypeError full_like(): argument 'fill_value' (position 2) must be Number, not Tensor"),
    ('torch.full_like(torch.ones(2), torch.tensor([3.,4]))',
     "!! TypeError full_like(): argument 'fill_value' (position 2) must be Number, not Tensor"),
    ('torch.full_like(torch.ones(2), "a")',
     "!! TypeError full_like(): argument 'fill_value' (position 2) must be Number, not str"),
    ('torch.full_like(torch.ones(2))',
     '!! TypeError full_like() missing 1 required positional arguments: "fill_value"'),
    ('torch.empty_like(torch.ones(2,3)).shape', 'torch.Size([2, 3])'),
    ('torch.empty_like(torch.ones(2,3), requires_grad=True).requires_grad', 'True'),
    ('torch.ones(2).new_tensor([1,2])', 'tensor([1., 2.])'),
    ('torch.ones(2).new_tensor(3, dtype=torch.int32)', 'tensor(3, dtype=torch.int32)'),
    ('torch.ones(2,dtype=torch.int32).new_tensor([1.5,2])', 'tensor([1, 2], dtype=torch.int32)'),
    ('torch.ones(2).new_tensor(torch.ones(2))', 'tensor([1., 1.])'),
    ('torch.ones(2).new_tensor(torch.ones(2, dtype=torch.int32))', 'tensor([1., 1.])'),
    ('torch.ones(2).new_tensor([1,2], requires_grad=True)', 'tensor([1., 2.], requires_grad=True)'),
    ('torch.ones(2).new_tensor(data=[1,2])', 'tensor([1., 2.])'),
    ('torch.ones(2).new_tensor()', '!! TypeError new_tensor() missing 1 required positional arguments: "data"'),
    ('torch.ones(2).new_zeros(2,3)', 'tensor([[0., 0., 0.],         [0., 0., 0.]])'),
    ('torch.ones(2).new_zeros((2,3), dtype=torch.int64)', 'tensor([[0, 0, 0],         [0, 0, 0]])'),
    ('torch.ones(2).new_ones(3)', 'tensor([1., 1., 1.])'),
    ('torch.ones(2).new_ones(3, requires_grad=True)', 'tensor([1., 1., 1.], requires_grad=True)'),
    ('torch.ones(2).new_full((3,), 2)', 'tensor([2., 2., 2.])'),
    ('torch.ones(2).new_full((3,), 2.5, dtype=torch.int64)', 'tensor([2, 2, 2])'),
    ('torch.ones(2, dtype=torch.int64).new_full((3,), 2.5)', 'tensor([2, 2, 2])'),
    ('torch.ones(2).new_full(3, 2)',
     "!! TypeError new_full(): argument 'size' (position 1) must be tuple of ints, not int"),
    ('torch.ones(2).new_empty(3).shape', 'torch.Size([3])'),
    ('torch.ones(2).new_empty((3,), device="cpu", layout=torch.strided, pin_memory=False).shape', 'torch.Size([3])'),
    ('torch.ones(2).new_empty_strided((3,2),(1,3)).stride()', '(1, 3)'),
    ('torch.ones(2).new_zeros()', '!! TypeError new_zeros() missing 1 required positional arguments: "size"'),
    ('torch.ones(2).new_zeros(size=3)', "!! TypeError new_zeros(): argument 'size' must be tuple of ints, not int"),
    ('torch.ones(2).new_zeros(size=(3,))', 'tensor([0., 0., 0.])'),
    ('torch.ones(2).new(3).shape', 'torch.Size([3])'),
    ('torch.ones(2).new([1,2])', 'tensor([1., 2.])'),
    ('torch.ones(2,dtype=torch.int32).new([1,2])', 'tensor([1, 2], dtype=torch.int32)'),
    ('torch.ones(2).new()', 'tensor([])'),
    ('torch.Tensor.new(torch.ones(2), 3).shape', 'torch.Size([3])'),
    ('torch.ones(2).new(2,3).shape', 'torch.Size([2, 3])'),
    ('torch.ones(2).new(torch.ones(2))', 'tensor([1., 1.])'),
    ('torch.ones(2).new(torch.ones(2,dtype=torch.int32))',
     '!! TypeError expected TensorOptions(dtype=float, device=cpu, layout=Strided, requires_grad=false (de'
     'fault), pinned_memory=false (default), memory_format=(nullopt)) (got TensorOptions(dtype=int, device'
     '=cpu, layout=Strided, requires_grad=false (default), pinned_memory=false'),
    ('torch.ones(2).new(None)', '!! TypeError new(): data must be a sequence (got NoneType)'),
    ('torch.ones(2).new(2.5)', '!! TypeError new(): data must be a sequence (got float)'),
    ('torch.empty_like(torch.ones(2,3,4,5), memory_format=torch.channels_last).stride()', '(60, 1, 15, 3)'),
]

AS_TENSOR_ASARRAY_FROMBUFFER = [
    ('torch.as_tensor([1,2])', 'tensor([1, 2])'),
    ('torch.as_tensor(3, dtype=torch.float64)', 'tensor(3., dtype=torch.float64)'),
    ('torch.as_tensor(torch.ones(2, requires_grad=True))', 'tensor([1., 1.], requires_grad=True)'),
    ('torch.as_tensor(torch.ones(2, requires_grad=True), dtype=torch.float64)',
     'tensor([1., 1.], dtype=torch.float64, grad_fn=<ToCopyBackward0>)'),
    ('torch.as_tensor()', '!! TypeError as_tensor() missing 1 required positional arguments: "data"'),
    ('torch.as_tensor(1, requires_grad=True)',
     "!! TypeError as_tensor() got an unexpected keyword argument 'requires_grad'"),
    ('torch.as_tensor(data=1)', 'tensor(1)'),
    ('torch.as_tensor([1], torch.float64)', '!! TypeError as_tensor() takes 1 positional argument but 2 were given'),
    ('torch.asarray([1,2])', 'tensor([1, 2])'),
    ('torch.asarray([1,2], dtype=torch.float64, requires_grad=True)',
     'tensor([1., 2.], dtype=torch.float64, requires_grad=True)'),
    ('torch.asarray(torch.ones(2, requires_grad=True))', 'tensor([1., 1.], requires_grad=True)'),
    ('torch.asarray(torch.ones(2), copy=True)', 'tensor([1., 1.])'),
    ('torch.asarray(torch.ones(2), copy=False)', 'tensor([1., 1.])'),
    ('torch.asarray([1,2], copy=False)', "!! ValueError can't alias arbitrary sequence into a tensor"),
    ('torch.asarray([1,2], copy=True)', 'tensor([1, 2])'),
    ('torch.asarray(b"abcd")', 'tensor([ 97,  98,  99, 100], dtype=torch.uint8)'),
    ('torch.asarray(b"abcd", dtype=torch.uint8)', 'tensor([ 97,  98,  99, 100], dtype=torch.uint8)'),
    ('torch.asarray(bytearray(b"abcdefgh"))', 'tensor([ 97,  98,  99, 100, 101, 102, 103, 104], dtype=torch.uint8)'),
    ('torch.asarray(bytearray(b"abcdefgh"), dtype=torch.uint8)',
     'tensor([ 97,  98,  99, 100, 101, 102, 103, 104], dtype=torch.uint8)'),
    ('torch.asarray(bytearray(b"abcdefg"), dtype=torch.int32)',
     '!! ValueError buffer length (7 bytes) after offset (0 bytes) must be a multiple of element size (4)'),
    ('torch.asarray(3)', 'tensor(3)'),
    ('torch.asarray("a")', "!! TypeError new(): invalid data type 'str'"),
    ('torch.asarray(None)', '!! RuntimeError Could not infer dtype of NoneType'),
    ('torch.asarray(torch.ones(2), dtype=torch.int32, copy=False)',
     "!! ValueError can't alias tensor with dtype 'Float' into dtype 'Int'"),
    ('torch.asarray(obj=3)', 'tensor(3)'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32)',
     'tensor([1684234849, 1751606885], dtype=torch.int32)'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, count=1)', 'tensor([1684234849], dtype=torch.int32)'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, count=1, offset=4)',
     'tensor([1751606885], dtype=torch.int32)'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, count=3)',
     '!! ValueError requested buffer length (3 * 4 bytes) after offset (0 bytes) must not be greater than '
     'actual buffer length (8 bytes)'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, offset=8)',
     '!! ValueError offset (8 bytes) must be non-negative and no greater than buffer length (8 bytes) minus 1'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, offset=3)',
     '!! ValueError buffer length (5 bytes) after offset (3 bytes) must be a multiple of element size (4)'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, offset=-1)',
     '!! ValueError offset (-1 bytes) must be non-negative and no greater than buffer length (8 bytes) minus 1'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, count=0)',
     '!! ValueError both buffer length (8) and count (0) must not be 0'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, count=-2)',
     'tensor([1684234849, 1751606885], dtype=torch.int32)'),
    ('torch.frombuffer(bytearray(b""), dtype=torch.int32)',
     '!! ValueError both buffer length (0) and count (-1) must not be 0'),
    ('torch.frombuffer(bytearray(b"abc"), dtype=torch.int32)',
     '!! ValueError buffer length (3 bytes) after offset (0 bytes) must be a multiple of element size (4)'),
    ('torch.frombuffer(bytearray(b"abcdefgh"))',
     '!! TypeError frombuffer() missing 1 required positional arguments: "dtype"'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.float32, requires_grad=True)',
     'tensor([1.6778e+22, 4.3710e+24], requires_grad=True)'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int32, requires_grad=True)',
     '!! RuntimeError Only Tensors of floating point and complex dtype can require gradients'),
    ('torch.frombuffer(b"abcdefgh", dtype=torch.int32)', 'tensor([1684234849, 1751606885], dtype=torch.int32)'),
    ('torch.frombuffer([1,2], dtype=torch.int32)', '!! ValueError object does not implement Python buffer protocol'),
    ('torch.frombuffer(bytearray(b"abcdefgh"), torch.int32)',
     '!! TypeError frombuffer() takes from 2 to 1 positional arguments but 2 were given'),
    ('torch.frombuffer(__import__("array").array(\'f\',[1,2]), dtype=torch.float32)', 'tensor([1., 2.])'),
]

LEGACY_CONSTRUCTORS = [
    ('torch.Tensor()', 'tensor([])'),
    ('torch.Tensor(2,3).shape', 'torch.Size([2, 3])'),
    ('torch.Tensor([2,3])', 'tensor([2., 3.])'),
    ('torch.Tensor((2,3))', 'tensor([2., 3.])'),
    ('torch.Tensor(torch.Size([2,3])).shape', 'torch.Size([2, 3])'),
    ('torch.Tensor(3).shape', 'torch.Size([3])'),
    ('torch.Tensor(3.5)', '!! TypeError new(): data must be a sequence (got float)'),
    ('torch.Tensor(2,3.5)',
     '!! TypeError new(): argument \'size\' failed to unpack the object at pos 2 with error "type must be tu'
     'ple of ints,but got float"'),
    ('torch.Tensor("a")', "!! TypeError new(): invalid data type 'str'"),
    ('torch.Tensor(None)', '!! TypeError new(): data must be a sequence (got NoneType)'),
    ('torch.Tensor([None])', '!! TypeError must be real number, not NoneType'),
    ('torch.Tensor(torch.ones(2))', 'tensor([1., 1.])'),
    ('torch.Tensor(torch.ones(2,dtype=torch.int32))', 'tensor([1, 1], dtype=torch.int32)'),
    ('torch.Tensor(torch.ones(2,dtype=torch.float64))', 'tensor([1., 1.], dtype=torch.float64)'),
    ('torch.Tensor(torch.ones(2,requires_grad=True)).requires_grad', 'True'),
    ('torch.Tensor(data=[1])', 'tensor([1.])'),
    ('torch.Tensor(size=(2,)).shape', 'torch.Size([2])'),
    ('torch.Tensor(2, device="cpu").shape', 'torch.Size([2])'),
    ('torch.Tensor([1,2], device="cpu")', 'tensor([1., 2.])'),
    ('torch.Tensor([1,2], dtype=torch.float32)',
     '!! TypeError new() received an invalid combination of arguments - got (list, dtype=torch.dtype), but'
     ' expected one of:'),
    ('torch.Tensor([1,2], requires_grad=True)',
     '!! TypeError new() received an invalid combination of arguments - got (list, requires_grad=bool), bu'
     't expected one of:'),
    ('torch.Tensor(-1)', '!! RuntimeError Trying to create tensor with negative dimension -1: [-1]'),
    ('torch.Tensor([[1,2],[3]])', '!! ValueError expected sequence of length 2 at dim 1 (got 1)'),
    ('torch.Tensor(torch.tensor(3)).shape', 'torch.Size([])'),
    ('torch.Tensor(True)', '!! TypeError new(): data must be a sequence (got bool)'),
    ('torch.Tensor(range(3))', 'tensor([0., 1., 2.])'),
    ('torch.FloatTensor([1,2])', 'tensor([1., 2.])'),
    ('torch.FloatTensor(2,3).shape', 'torch.Size([2, 3])'),
    ('torch.FloatTensor()', 'tensor([])'),
    ('torch.FloatTensor(torch.ones(2))', 'tensor([1., 1.])'),
    ('torch.FloatTensor(torch.ones(2,dtype=torch.int32))',
     '!! TypeError expected TensorOptions(dtype=float, device=cpu, layout=Strided, requires_grad=false (de'
     'fault), pinned_memory=false (default), memory_format=(nullopt)) (got TensorOptions(dtype=int, device'
     '=cpu, layout=Strided, requires_grad=false (default), pinned_memory=false'),
    ('torch.LongTensor([1,2])', 'tensor([1, 2])'),
    ('torch.LongTensor([1.5,2])', 'tensor([1, 2])'),
    ('torch.LongTensor(torch.ones(2))',
     '!! TypeError expected TensorOptions(dtype=long int, device=cpu, layout=Strided, requires_grad=false '
     '(default), pinned_memory=false (default), memory_format=(nullopt)) (got TensorOptions(dtype=float, d'
     'evice=cpu, layout=Strided, requires_grad=false (default), pinned_memory=f'),
    ('torch.LongTensor(3).shape', 'torch.Size([3])'),
    ('torch.LongTensor([1,2], device="cpu")', 'tensor([1, 2])'),
    ('torch.DoubleTensor([1])', 'tensor([1.], dtype=torch.float64)'),
    ('torch.HalfTensor([1])', 'tensor([1.], dtype=torch.float16)'),
    ('torch.BFloat16Tensor([1])', 'tensor([1.], dtype=torch.bfloat16)'),
    ('torch.IntTensor([1])', 'tensor([1], dtype=torch.int32)'),
    ('torch.ShortTensor([1])', 'tensor([1], dtype=torch.int16)'),
    ('torch.CharTensor([1])', 'tensor([1], dtype=torch.int8)'),
    ('torch.ByteTensor([1,255])', 'tensor([  1, 255], dtype=torch.uint8)'),
    ('torch.ByteTensor([256])', '!! RuntimeError value cannot be converted to type uint8 without overflow'),
    ('torch.BoolTensor([1,0])', 'tensor([ True, False])'),
    ('torch.BoolTensor([True])', 'tensor([True])'),
    ('isinstance(torch.ones(2), torch.FloatTensor)', 'True'),
    ('isinstance(torch.ones(2), torch.DoubleTensor)', 'False'),
    ('isinstance(3, torch.FloatTensor)', 'False'),
    ('isinstance(torch.ones(2), torch.Tensor)', 'True'),
    ('torch.FloatTensor', "<class 'torch.FloatTensor'>"),
    ('torch.FloatTensor.dtype', 'torch.float32'),
    ('torch.FloatTensor.layout', 'torch.strided'),
    ('torch.FloatTensor.__name__', "'FloatTensor'"),
    ('torch.FloatTensor.__module__', "'torch'"),
    ('torch.FloatTensor == torch.FloatTensor', 'True'),
    ('torch.FloatTensor(data=[1])', 'tensor([1.])'),
    ('torch.FloatTensor(dtype=3)',
     '!! TypeError new() received an invalid combination of arguments - got (dtype=int, ), but expected one of:'),
    ('torch.Tensor([1,2]).dtype', 'torch.float32'),
    ('torch.Tensor.__new__(torch.Tensor, 2).shape', 'torch.Size([2])'),
    ('torch.Tensor(1,2,3).shape', 'torch.Size([1, 2, 3])'),
    ('torch.LongTensor([[1,2],[3,4]]).shape', 'torch.Size([2, 2])'),
    ('torch.FloatTensor(torch.Size([2,2])).shape', 'torch.Size([2, 2])'),
]

QUESTIONS_AND_DTYPES = [
    ('torch.is_tensor(3)', 'False'),
    ('torch.is_tensor(torch.ones(1))', 'True'),
    ('torch.numel(torch.ones(2,3))', '6'),
    ('torch.numel(3)', "!! TypeError numel(): argument 'input' (position 1) must be Tensor, not int"),
    ('torch.is_floating_point(torch.ones(1))', 'True'),
    ('torch.is_floating_point(3)',
     "!! TypeError is_floating_point(): argument 'input' (position 1) must be Tensor, not int"),
    ('torch.is_complex(torch.ones(1))', 'False'),
    ('torch.is_conj(torch.ones(1))', 'False'),
    ('torch.is_nonzero(torch.ones(1))', 'True'),
    ('torch.is_nonzero(torch.ones(2))',
     '!! RuntimeError Boolean value of Tensor with more than one value is ambiguous'),
    ('torch.is_nonzero(torch.ones(0))', '!! RuntimeError Boolean value of Tensor with no values is ambiguous'),
    ('torch.is_signed(torch.ones(1))', 'True'),
    ('torch.is_same_size(torch.ones(1), torch.ones(2))', 'False'),
    ('torch.is_inference(torch.ones(1))', 'False'),
    ('torch.is_neg(torch.ones(1))', 'False'),
    ('torch.is_distributed(torch.ones(1))', 'False'),
    ('torch.result_type(torch.ones(2,dtype=torch.int32), 1.5)', 'torch.float32'),
    ('torch.result_type(1, 1.5)', 'torch.float32'),
    ('torch.result_type(1, 2)', 'torch.int64'),
    ('torch.result_type(True, torch.ones(2,dtype=torch.int8))', 'torch.int8'),
    ('torch.result_type(torch.ones(2,dtype=torch.int8), torch.tensor(3.))', 'torch.float32'),
    ('torch.result_type(torch.ones(2), "a")',
     '!! TypeError result_type() received an invalid combination of arguments - got (Tensor, str), but exp'
     'ected one of:'),
    ('torch.result_type("a", torch.ones(2))',
     '!! TypeError result_type() received an invalid combination of arguments - got (str, Tensor), but exp'
     'ected one of:'),
    ('torch.result_type(torch.ones(2))',
     '!! TypeError result_type() received an invalid combination of arguments - got (Tensor), but expected one of:'),
    ('torch.promote_types(torch.int32, torch.float32)', 'torch.float32'),
    ('torch.promote_types(torch.int32, "a")',
     "!! TypeError promote_types(): argument 'type2' (position 2) must be torch.dtype, not str"),
    ('torch.promote_types(torch.int32)',
     '!! TypeError promote_types() missing 1 required positional arguments: "type2"'),
    ('torch.promote_types(int, float)', 'torch.float64'),
    ('torch.can_cast(torch.float32, torch.int32)', 'False'),
    ('torch.can_cast(torch.int32, torch.float32)', 'True'),
    ('torch.can_cast(torch.int32, torch.uint8)', 'True'),
    ('torch.can_cast(torch.int32, torch.bool)', 'False'),
    ('torch.can_cast(torch.bool, torch.int8)', 'True'),
    ('torch.can_cast(torch.float64, torch.float16)', 'True'),
    ('torch.can_cast(3, torch.float16)',
     "!! TypeError can_cast(): argument 'from_' (position 1) must be torch.dtype, not int"),
    ('torch.broadcast_shapes((2,1),(3,))', 'torch.Size([2, 3])'),
    ('torch.broadcast_shapes((2,2),(3,))',
     '!! RuntimeError Attempting to broadcast a dimension of length 3 at -1! Mismatching argument at index'
     ' 1 had (3,); but expected shape should be broadcastable to [2, 2]'),
    ('torch.broadcast_shapes()', 'torch.Size([])'),
    ('torch.broadcast_shapes(2,(3,2))', 'torch.Size([3, 2])'),
    ('torch.broadcast_shapes((-1,),(3,))', '!! ValueError Attempting to broadcast a dimension with negative length!'),
    ('torch.broadcast_shapes((0,),(1,))', 'torch.Size([0])'),
    ('torch.broadcast_shapes((1.5,))', "!! TypeError torch.Size() takes an iterable of 'int' (item 0 is 'float')"),
    ('torch.broadcast_tensors(torch.ones(2,1), torch.ones(3))',
     '(tensor([[1., 1., 1.],         [1., 1., 1.]]), tensor([[1., 1., 1.],         [1., 1., 1.]]))'),
    ('torch.broadcast_tensors([torch.ones(2,1), torch.ones(3)])',
     '!! TypeError expected Tensor as element 0 in argument 0, but got list'),
    ('torch.broadcast_tensors(torch.ones(2,2), torch.ones(3))',
     '!! RuntimeError The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 1'),
    ('torch.broadcast_tensors(torch.ones(2,1), 3)',
     '!! TypeError expected Tensor as element 1 in argument 0, but got int'),
    ('torch.broadcast_tensors()', '()'),
    ('torch.broadcast_to(torch.ones(1,3), (2,3))', 'tensor([[1., 1., 1.],         [1., 1., 1.]])'),
    ('torch.meshgrid(torch.arange(2), torch.arange(3))',
     '(tensor([[0, 0, 0],         [1, 1, 1]]), tensor([[0, 1, 2],         [0, 1, 2]]))'),
    ('torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")',
     '(tensor([[0, 0, 0],         [1, 1, 1]]), tensor([[0, 1, 2],         [0, 1, 2]]))'),
    ('torch.meshgrid(torch.arange(2), torch.arange(3), indexing="xy")',
     '(tensor([[0, 1],         [0, 1],         [0, 1]]), tensor([[0, 0],         [1, 1],         [2, 2]]))'),
    ('torch.meshgrid([torch.arange(2), torch.arange(3)], indexing="xy")',
     '(tensor([[0, 1],         [0, 1],         [0, 1]]), tensor([[0, 0],         [1, 1],         [2, 2]]))'),
    ('torch.meshgrid(torch.arange(2), torch.arange(3), indexing="zz")',
     '!! RuntimeError torch.meshgrid: indexing must be one of "xy" or "ij", but received: zz'),
    ('torch.meshgrid(torch.arange(2), torch.ones(3), indexing="ij")',
     '!! RuntimeError meshgrid expects all tensors to have the same dtype'),
    ('torch.meshgrid(torch.tensor(1), torch.arange(3), indexing="ij")', '(tensor([[1, 1, 1]]), tensor([[0, 1, 2]]))'),
    ('torch.meshgrid()', '!! RuntimeError meshgrid expects a non-empty TensorList'),
    ('torch.meshgrid(indexing="ij")', '!! RuntimeError meshgrid expects a non-empty TensorList'),
    ('torch.meshgrid(3)', '!! TypeError expected Tensor as element 0 in argument 0, but got int'),
    ('torch.meshgrid(torch.arange(2), indexing="ij")', '(tensor([0, 1]),)'),
    ('torch.cartesian_prod(torch.arange(2), torch.arange(2))',
     'tensor([[0, 0],         [0, 1],         [1, 0],         [1, 1]])'),
    ('torch.numel()', '!! TypeError numel() missing 1 required positional arguments: "input"'),
    ('torch.can_cast()', '!! TypeError can_cast() missing 2 required positional argument: "from_", "to"'),
    ('torch.can_cast(from_=torch.int32, to=torch.int8)', 'True'),
    ('torch.result_type(tensor=torch.ones(1), other=3)', 'torch.float32'),
    ('torch.promote_types(torch.uint8, torch.int8)', 'torch.int16'),
    ('torch.promote_types(torch.bfloat16, torch.float16)', 'torch.float32'),
    ('torch.result_type(torch.tensor(1, dtype=torch.uint8), -1)', 'torch.uint8'),
    ('torch.result_type(torch.tensor([1], dtype=torch.uint8), True)', 'torch.uint8'),
    ('torch.result_type(torch.tensor(1.), torch.tensor([1], dtype=torch.float16))', 'torch.float16'),
    ('torch.result_type(torch.tensor(1., dtype=torch.float64), torch.tensor([1.]))', 'torch.float32'),
    ('torch.result_type(torch.tensor(1.), 2.)', 'torch.float32'),
    ('torch.result_type(True, False)', 'torch.bool'),
    ('torch.result_type(1.0, False)', 'torch.float32'),
    ('torch.meshgrid(torch.tensor([1,2]), 3, indexing="ij")',
     '!! TypeError expected Tensor as element 1 in argument 0, but got int'),
    ('torch.meshgrid([torch.tensor([1,2]), 3], indexing="ij")',
     '!! TypeError expected Tensor as element 1 in argument 0, but got int'),
    ('torch.meshgrid(torch.tensor([1,2]), indexing=3)',
     "!! TypeError meshgrid(): argument 'indexing' must be str, not int"),
    ('torch.meshgrid((torch.tensor([1,2]), torch.tensor([3,4,5])), indexing="ij")[0].stride()', '(1, 0)'),
    ('torch.meshgrid((torch.tensor([1,2]), torch.tensor([3,4,5])), indexing="xy")[0].stride()', '(0, 1)'),
    ('torch.meshgrid((torch.tensor([1,2]), torch.tensor([3,4,5])), indexing="xy")[1].stride()', '(1, 0)'),
    ('torch.cartesian_prod(torch.tensor([1,2]))', 'tensor([1, 2])'),
    ('torch.cartesian_prod(torch.tensor([1,2]), torch.tensor([1.,2,3]))',
     '!! RuntimeError meshgrid expects all tensors to have the same dtype'),
    ('torch.broadcast_tensors(torch.ones(2,1), torch.ones(3))[0].stride()', '(1, 0)'),
    ('torch.broadcast_to(torch.ones(3), (2,2))',
     '!! RuntimeError The expanded size of the tensor (2) must match the existing size (3) at non-singleto'
     'n dimension 1'),
]

NUMPY_ARRAYS_AND_SCALARS = [
    ('torch.tensor(np.float32(3))', 'tensor(3.)'),
    ('torch.tensor([np.float32(3)])', 'tensor([3.])'),
    ('torch.tensor([np.float64(3), 1])', 'tensor([3., 1.], dtype=torch.float64)'),
    ('torch.tensor([np.int32(3)])', 'tensor([3], dtype=torch.int32)'),
    ('torch.tensor([np.int8(3), np.int16(2)])', 'tensor([3, 2], dtype=torch.int16)'),
    ('torch.tensor([np.bool_(True)])', 'tensor([True])'),
    ('torch.tensor(np.bool_(True))', 'tensor(True)'),
    ('torch.tensor(np.int64(3))', 'tensor(3)'),
    ('torch.tensor(np.int16(3))', 'tensor(3, dtype=torch.int16)'),
    ('torch.tensor(np.array(3))', 'tensor(3)'),
    ('torch.tensor([np.array(3)])', '!! TypeError len() of unsized object'),
    ('torch.tensor([np.array([3,4]), np.array([5,6])])', 'tensor([[3, 4],         [5, 6]])'),
    ('torch.tensor([np.array([3.,4], dtype=np.float32)])', 'tensor([[3., 4.]])'),
    ('torch.tensor(np.arange(6).reshape(2,3))', 'tensor([[0, 1, 2],         [3, 4, 5]])'),
    ("torch.tensor(np.array([1,2],dtype='>i4'))",
     '!! ValueError given numpy array has byte order different from the native byte order'),
    ('torch.tensor(np.array(["a"]))', "!! TypeError can't convert np.ndarray of type numpy.str_"),
    ('torch.tensor(np.array([object()]))', "!! TypeError can't convert np.ndarray of type numpy.object_"),
    ('torch.tensor(np.arange(6)[::-1])',
     '!! ValueError At least one stride in the given numpy array is negative, and tensors with negative st'
     'rides are not currently supported'),
    ('torch.tensor([[1,2],np.array([3,4])])', 'tensor([[1, 2],         [3, 4]])'),
    ('torch.tensor(np.matrix([[1,2]]))', 'tensor([[1, 2]])'),
    ('torch.tensor(np.float16(1.5))', 'tensor(1.5000, dtype=torch.float16)'),
    ("torch.tensor(np.datetime64('2020'))", "!! TypeError can't convert np.ndarray of type numpy.datetime64"),
    ("torch.tensor([np.str_('a')])", "!! ValueError too many dimensions 'str'"),
    ('torch.tensor(np.array([]))', 'tensor([], dtype=torch.float64)'),
    ('torch.tensor([np.array([])])', 'tensor([], size=(1, 0), dtype=torch.float64)'),
    ('torch.ones(2,dtype=torch.int32).new_tensor(__import__("numpy").arange(3.))',
     'tensor([0, 1, 2], dtype=torch.int32)'),
    ('torch.as_tensor(__import__("numpy").arange(3))', 'tensor([0, 1, 2])'),
    ('torch.asarray(__import__("numpy").arange(3))', 'tensor([0, 1, 2])'),
    ('torch.asarray(__import__("numpy").float32(3))', 'tensor(3.)'),
    ('torch.Tensor(__import__("numpy").arange(3))', 'tensor([0., 1., 2.])'),
    ('torch.Tensor(__import__("numpy").arange(3, dtype="float32"))', 'tensor([0., 1., 2.])'),
    ('torch.Tensor(__import__("numpy").int64(3)).shape', 'torch.Size([3])'),
    ('torch.FloatTensor(np.ones((2,2),dtype=np.float32))', 'tensor([[1., 1.],         [1., 1.]])'),
    ('torch.FloatTensor(np.ones((2,2)))', 'tensor([[1., 1.],         [1., 1.]])'),
    ('torch.IntTensor(np.ones((2,2)))', 'tensor([[1, 1],         [1, 1]], dtype=torch.int32)'),
]

def told(expression):
    """What the expression gives, as the tables write it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return repr(eval(expression)).replace("\n", " ")
    except Exception as e:
        return "!! %s %s" % (type(e).__name__, str(e).split("\n")[0])


class Recorded(unittest.TestCase):
    def check(self, cases):
        for expression, wanted in cases:
            with self.subTest(expression):
                got = told(expression)
                if wanted.startswith("!! "):
                    got = got[:len(wanted)]
                self.assertEqual(got, wanted)

    def test_W4_tensor_from_data(self):
        self.check(W4_TENSOR_FROM_DATA)

    def test_factories_sizes_and_keywords(self):
        self.check(FACTORIES_SIZES_AND_KEYWORDS)

    def test_arange_and_linspace(self):
        self.check(ARANGE_AND_LINSPACE)

    def test_like_and_new(self):
        self.check(LIKE_AND_NEW)

    def test_as_tensor_asarray_frombuffer(self):
        self.check(AS_TENSOR_ASARRAY_FROMBUFFER)

    def test_legacy_constructors(self):
        self.check(LEGACY_CONSTRUCTORS)

    def test_questions_and_dtypes(self):
        self.check(QUESTIONS_AND_DTYPES)

    @unittest.skipUnless(np, "needs NumPy")
    def test_numpy_arrays_and_scalars(self):
        self.check(NUMPY_ARRAYS_AND_SCALARS)


class Data(unittest.TestCase):
    def test_every_level_is_read(self):
        nested = [[[float(100 * i + 10 * j + k) for k in range(3)] for j in range(4)] for i in range(5)]
        self.assertEqual(torch.tensor(nested).tolist(), nested)
        self.assertEqual(torch.tensor(tuple(map(tuple, nested[0]))).tolist(), nested[0])

    def test_a_million_floats(self):
        data = [i / 7 for i in range(10**6)]
        t = torch.tensor(data, dtype=torch.float64)
        self.assertEqual(t.tolist(), data)
        self.assertEqual(torch.tensor(range(10**5)).tolist(), list(range(10**5)))

    def test_a_list_in_itself_is_refused(self):
        a, b, c = [], [1], [1]
        a.append(a)
        self.assertRaisesRegex(ValueError, "too many dimensions 'list'", torch.tensor, a)
        b.append(b)
        self.assertRaisesRegex(TypeError, "self-referential lists are incompatible", torch.tensor, b)
        d = [1, c]
        c.append(d)
        self.assertRaises(RecursionError, torch.tensor, c)

    def test_lists_that_change_while_they_are_read(self):
        class Shrinks:
            def __float__(self):
                del data[:]
                return 1.0

        class Raises:
            def __float__(self):
                raise KeyError("mine")

        data = [Shrinks() for _ in range(50)]
        self.assertRaises(IndexError, torch.tensor, data, dtype=torch.float32)
        self.assertRaisesRegex(KeyError, "mine", torch.tensor, [1, Raises()], dtype=torch.float32)

    def test_sequences_that_lie_about_their_length(self):
        class Lies:
            def __len__(self):
                return 5

            def __getitem__(self, i):
                if i > 2:
                    raise IndexError
                return i

        class Fails(Lies):
            def __getitem__(self, i):
                raise OSError

        self.assertRaisesRegex(ValueError, r"expected sequence of length 5 at dim 0 \(got 3\)", torch.tensor, Lies())
        self.assertRaisesRegex(ValueError, "could not determine the shape of object type 'Fails'", torch.tensor, Fails())

    def test_as_tensor_gives_the_tensor_itself(self):
        x = torch.ones(2)
        self.assertIs(torch.as_tensor(x), x)
        self.assertIs(torch.as_tensor(x, dtype=torch.float32), x)
        self.assertIs(torch.asarray(x), x)
        self.assertIsNot(torch.asarray(x, copy=True), x)
        self.assertIsNot(torch.tensor(x), x)

    def test_frombuffer_shares_memory_and_keeps_it(self):
        b = bytearray(16)
        t = torch.frombuffer(b, dtype=torch.int32, offset=4)
        t[0] = 7
        self.assertEqual(list(b), [0] * 4 + [7] + [0] * 11)
        self.assertRaises(BufferError, b.extend, b"more")
        del t
        b.extend(b"more")

    def test_a_read_only_buffer_gives_a_tensor_that_cannot_be_written(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            t = torch.frombuffer(b"abcd", dtype=torch.uint8)
        self.assertEqual(t.tolist(), [97, 98, 99, 100])
        self.assertRaises(RuntimeError, t.zero_)

    @unittest.skipUnless(np, "needs NumPy")
    def test_arrays_share_memory_in_as_tensor_and_not_in_tensor(self):
        a = np.zeros((2, 3), dtype=np.float32)
        shared, copied = torch.as_tensor(a), torch.tensor(a)
        a[1, 2] = 5
        self.assertEqual(shared.tolist(), [[0, 0, 0], [0, 0, 5]])
        self.assertEqual(copied.tolist(), [[0, 0, 0], [0, 0, 0]])
        self.assertEqual(torch.as_tensor(a.T).stride(), (1, 3))

    @unittest.skipUnless(np, "needs NumPy")
    def test_lists_of_arrays_and_tensors(self):
        rows = [np.arange(3) + 3 * i for i in range(4)]
        self.assertEqual(torch.tensor(rows).tolist(), [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]])
        self.assertEqual(torch.tensor([[1.5, 2.5, 3.5], np.arange(3)]).tolist(), [[1.5, 2.5, 3.5], [0, 1, 2]])
        self.assertEqual(torch.tensor([[0, 1, 2], torch.tensor([3, 4, 5])]).tolist(), [[0, 1, 2], [3, 4, 5]])


class Devices(unittest.TestCase):
    def tearDown(self):
        torch.set_default_device(None)

    def test_the_default_device_is_where_factories_make_tensors(self):
        self.assertEqual(torch.get_default_device(), torch.device("cpu"))
        torch.set_default_device("meta")
        self.assertEqual(torch.get_default_device(), torch.device("meta"))
        self.assertRaises(NotImplementedError, torch.ones, 2)
        self.assertEqual(torch.ones(2, device="cpu").tolist(), [1, 1])
        torch.set_default_device("cpu")
        self.assertEqual(torch.ones(2).tolist(), [1, 1])

    def test_with_device_ends_where_it_began(self):
        torch.set_default_device("meta")
        with torch.device("cpu") as d:
            self.assertEqual(d, torch.device("cpu"))
            self.assertEqual(torch.zeros(1).tolist(), [0])
        self.assertRaises(NotImplementedError, torch.zeros, 1)


class Legacy(unittest.TestCase):
    def test_a_subclass_is_made_by_the_constructor(self):
        class Mine(torch.Tensor):
            pass

        x = Mine([1, 2])
        self.assertIs(type(x), Mine)
        self.assertEqual(x.tolist(), [1, 2])
        self.assertEqual(tuple(Mine(2, 3).shape), (2, 3))
        self.assertIsInstance(x, torch.FloatTensor)

    def test_default_tensor_type_sets_the_default_dtype(self):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.set_default_tensor_type("torch.DoubleTensor")
            self.assertEqual(torch.ones(1).dtype, torch.float64)
            self.assertEqual(torch.Tensor([1]).dtype, torch.float64)
            self.assertRaises(TypeError, torch.set_default_tensor_type, torch.IntTensor)
        finally:
            torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    unittest.main()
