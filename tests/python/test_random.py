"""Random numbers: streams, the generator, and errors, recorded from PyTorch 2.15.0 (AVX2).

STREAMS: for each expression and dtype, the SHA-256 (its first half) of the bytes drawn for the seeds and sizes below, each followed
by the bytes of one rand(1), so that the position of the stream counts too.
"""
import copy
import ctypes
import hashlib
import threading
import unittest
import warnings

import wengert as torch

SEEDS = (0, 1, 1234)
SIZES = [(0,), (1,), (7,), (15,), (16,), (17,), (33,), (100,), (1000,), (3, 4), (4, 4), (5, 7, 3), ()]

STREAMS = [
    ('rand(s, dtype=d)', {
        'float32': '0ae07c7d63c6a510a1e1702ba4f1ab22',
        'float64': '9b64cba92011e6ef11f87482a1c1394d',
        'float16': 'cbebe6fbabd461b446bf5c7203724255',
        'bfloat16': '574bec9c27913625a278bf8441521cde',
    }),
    ('randn(s, dtype=d)', {
        'float32': 'ffa0cc2d7b2d37456c00cd3750a36294',
        'float64': '8b95d408b68078977b421158069035eb',
        'float16': 'da5af35c8f89a508ebb83641637c6920',
        'bfloat16': 'ac94c72e87f8928e5202309c4cfd5e91',
    }),
    ('normal(2., 3., s, dtype=d)', {
        'float32': '8e34b985904a14521cef969003559456',
        'float64': '2a4809f401a6e77fcd3e50d4f2121d3b',
        'float16': 'ff55777837a9f2e1c832f7f53fb847fb',
        'bfloat16': '7fccfaed5f99a971f453a7bbb3553df3',
    }),
    ('empty(s, dtype=d).uniform_(-3, 5.5)', {
        'float32': 'dac870227d0db976f6e39b524d0dd02e',
        'float64': '81f837855acc17fde1d7e5ccfc8acc71',
        'float16': 'e006465eec3ef24b91fb171942daf2d2',
        'bfloat16': '60db360b672ffef4ab6aaea17b54aef8',
    }),
    ('empty(s, dtype=d).normal_(0.5, 2)', {
        'float32': '54798eb022308ff01da79ea7162fe614',
        'float64': 'ab8b3fbef2a2728cca33fd7609b99fa9',
        'float16': 'cab76db54eae32a620052c51bebb22d0',
        'bfloat16': 'f043739112c70a0df7d770eaa187bfa1',
    }),
    ('empty(s, dtype=d).exponential_(1.5)', {
        'float32': '190209c39a13ab89c0f65024ef92d489',
        'float64': 'fa780709a879c1db85d887c9b21ebf88',
        'float16': '9bb7cfbe15c219d0a5a5de6558f9de15',
        'bfloat16': '4135cdefe32d268aa0e7f2c30e4c369b',
    }),
    ('empty(s, dtype=d).cauchy_(1, 2)', {
        'float32': '552e393c14decd558867a1ecee66c042',
        'float64': 'db7f5c82f1a749f01450c27a591d94ff',
        'float16': 'b7836be463307422dff23274b0f73a44',
        'bfloat16': '9dd42796cb23e19da46b670e1c032e85',
    }),
    ('empty(s, dtype=d).geometric_(.3)', {
        'float32': '99cb330900234b6a3b6950664f1e5a51',
        'float64': 'ded531b6c404d735b2f01666f0bb3aff',
        'float16': '98845db443b628af3269399c4ddd4edb',
        'bfloat16': 'f6740e41b0f3749983bcf6a94829743a',
    }),
    ('empty(s, dtype=d).log_normal_(.1, .5)', {
        'float32': 'b8e29ad88dade286fbf52e5cda75d5a2',
        'float64': '7c749627412f52e386034735f15fc473',
        'float16': '419da5017c51ce59928f77d12abe89bc',
        'bfloat16': '568d57cb27bec3f1342018badaccaf98',
    }),
    ('rand_like(torch.ones(s, dtype=d))', {
        'float32': '0ae07c7d63c6a510a1e1702ba4f1ab22',
        'float64': '9b64cba92011e6ef11f87482a1c1394d',
        'float16': 'cbebe6fbabd461b446bf5c7203724255',
        'bfloat16': '574bec9c27913625a278bf8441521cde',
    }),
    ('randn_like(torch.ones(s, dtype=d))', {
        'float32': 'ffa0cc2d7b2d37456c00cd3750a36294',
        'float64': '8b95d408b68078977b421158069035eb',
        'float16': 'da5af35c8f89a508ebb83641637c6920',
        'bfloat16': 'ac94c72e87f8928e5202309c4cfd5e91',
    }),
    ('bernoulli(torch.full(s, .3, dtype=d))', {
        'float32': 'de902080ae22fcb3ccb87093f846f3a2',
        'float64': 'b2df9e574ea86fee02d97fc88ff48e8a',
        'float16': '82f3d971e497a957ce8f9ca23b27a5f1',
        'bfloat16': '028f6e26060d334fe32c016058681ca3',
    }),
    ('normal(torch.full(s, .3, dtype=d), 2.)', {
        'float32': '47f5c54b53505712985be82b87f18c95',
        'float64': 'e9f255918d8d364174bc3f55883cdbce',
        'float16': '0d547af43d97ec90bb1a73252837bcbd',
        'bfloat16': 'c1048bc4b6c49196bb2e82b2d5274fcf',
    }),
    ('normal(1., torch.full(s, .3, dtype=d))', {
        'float32': '7a9fe044e94ab7067fc6835542e7a0c7',
        'float64': '270ee2eba454c87d952832fa0d2bd85d',
        'float16': '89125c9a792b547656d5d52557773f94',
        'bfloat16': '7e60cc720a18411e2e843278cb4d0c77',
    }),
    ('normal(torch.full(s, 1., dtype=d), torch.full(s, .3, dtype=d))', {
        'float32': '7a9fe044e94ab7067fc6835542e7a0c7',
        'float64': '270ee2eba454c87d952832fa0d2bd85d',
        'float16': '89125c9a792b547656d5d52557773f94',
        'bfloat16': '7e60cc720a18411e2e843278cb4d0c77',
    }),
    ('rand(s, out=torch.empty(s, dtype=d))', {
        'float32': '0ae07c7d63c6a510a1e1702ba4f1ab22',
        'float64': '9b64cba92011e6ef11f87482a1c1394d',
        'float16': 'cbebe6fbabd461b446bf5c7203724255',
        'bfloat16': '574bec9c27913625a278bf8441521cde',
    }),
    ('randn(s, out=torch.empty(0, dtype=d))', {
        'float32': 'ffa0cc2d7b2d37456c00cd3750a36294',
        'float64': '8b95d408b68078977b421158069035eb',
        'float16': 'da5af35c8f89a508ebb83641637c6920',
        'bfloat16': 'ac94c72e87f8928e5202309c4cfd5e91',
    }),
    ('randperm(100, dtype=d)', {
        'float32': '50adeac059c13c313633639ee1c77cae',
        'int64': '2f831f77f2842ace852b00c079214fc5',
        'int32': '74085f904992237ea2e203df417a4d9c',
        'int16': 'f575c312d3abcbb991f331b82f1b7641',
        'int8': '814d1069b6d8be57b9a39615cb608f5d',
        'uint8': '814d1069b6d8be57b9a39615cb608f5d',
    }),
    ('randint(3, 100, s, dtype=d)', {
        'float32': 'cd1cb610a9c444ea624177c3c1c6059f',
        'int64': 'bf51504d0e62199002bb142883f88ea8',
        'int32': '2b885cc3c2c8575eed4ad54ca0b6811f',
        'int16': 'ce67de8729dd2bf9f509a98fef459964',
        'int8': 'a05405de6f27faedab6c6124c86ed767',
        'uint8': 'a05405de6f27faedab6c6124c86ed767',
    }),
    ('randint_like(torch.ones(s, dtype=d), 1, 90)', {
        'float32': 'bb5a7cc5d7cc555187d1adb4cc11ad7c',
        'int64': '0ec006e1dcaaedc10f958e074ce6d3ce',
        'int32': '756e7787de7d1789198d75265740ff1e',
        'int16': '25dd2cb957238c0d64afd272c6d1837c',
        'int8': '90282dd46d12bc23e5967582f50a0c9d',
        'uint8': '90282dd46d12bc23e5967582f50a0c9d',
    }),
    ('empty(s, dtype=d).random_(77)', {
        'float32': '5a7acead5d83f80add4d0933a8fca060',
        'int64': '3ae30e9d17f1ae15bb9b2adc11b679c5',
        'int32': '3f404276da050f6da21f913045dbac11',
        'int16': '0bdbf16894c3ccd0e0d70010ac1b845a',
        'int8': '4a9313e2a470b4229a03deedbfcfae2b',
        'uint8': '4a9313e2a470b4229a03deedbfcfae2b',
    }),
    ('empty(s, dtype=d).random_(5, 77)', {
        'float32': '1e06939311fc72910a4768b7f7525f0c',
        'int64': '084d5d17b8e7c5e235af0a188743eb59',
        'int32': '88e28d42274a476ec062914b498b6e46',
        'int16': 'e7b3998107db408bc9d11779aecee874',
        'int8': 'b623d7b5140c60e64d8866dcc027bbae',
        'uint8': 'b623d7b5140c60e64d8866dcc027bbae',
    }),
    ('empty(s, dtype=d).random_()', {
        'float32': '6d85ac251cc484301a779a7900bf2fd8',
        'int64': '6da42424e44ff6903d216447b7a05de9',
        'int32': '1242ad3f028fcf9eb46abaad99706fad',
        'int16': '4a9f9ed567961b4601eb4a1ce217acf6',
        'int8': '7fdc455df2289f416bd7af381a5723b7',
        'uint8': '3020f99157481072172561ce7dfa3803',
    }),
    ('empty(s, dtype=d).bernoulli_(.4)', {
        'float32': '321d342d90f561dbe40313c31dbc060d',
        'int64': 'e606892b88e1f8288964cbde7a83fc63',
        'int32': 'c85308873a4d821ee90a5c43b231cd0f',
        'int16': '7c7a8e8a4d7f6122186f28828417b5ff',
        'int8': '5165a4c332f79116a62a347902ae5a5d',
        'uint8': '5165a4c332f79116a62a347902ae5a5d',
    }),
    ('empty(s, dtype=d).bernoulli_(torch.full(s[-1:], .4))', {
        'float32': '34e41b231178160edeef273f7a5b969f',
        'int64': '973f6c8cf40c005b28c20532e3c08270',
        'int32': 'd424423ef127e02f5de02cb5c28fba0b',
        'int16': '1f974d1729122a561c8e2d2342836f35',
        'int8': '54934543b82ff288abee067b739efac0',
        'uint8': '54934543b82ff288abee067b739efac0',
    }),
    ('randint(0, 2**40, s)', {'float32': '8e6a692b501614b64208eab00aad1434'}),
    ('randint(17, s)', {'float32': '9ac9f5081850e6d830643c6a5b93bde7'}),
    ('bernoulli(torch.ones(s), .25)', {'float32': '1ff9b07231c6382fb7461a54776f57ca'}),
    ('multinomial(torch.arange(1., 21.), 7)', {'float32': '875eb4cdb0db65c5279168aaac5f93d7'}),
    ('multinomial(torch.arange(1., 21.), 50, True)', {'float32': 'd5d18d1b2b0531b8e53e6f8b76626d0e'}),
    ('arange(1., 61.).view(3, 20).multinomial(5)', {'float32': '627c853ef1187e5c20b316e1eb2af109'}),
]

CALLS = [
    ('torch.Generator().initial_seed()', '67280421310721'),
    ('torch.Generator(device="cpu").device', "device(type='cpu')"),
    ('torch.Generator("cpu").device', "device(type='cpu')"),
    ('torch.Generator(1.5)',
     "!! TypeError Generator(): argument 'device' (position 1) must be torch.device, not float"),
    ('torch.Generator().manual_seed(3).initial_seed()', '3'),
    ('torch.Generator().manual_seed(-1).initial_seed()', '18446744073709551615'),
    ('torch.Generator().manual_seed(2**64-1).initial_seed()', '18446744073709551615'),
    ('torch.Generator().manual_seed(2**64)', '!! ValueError Overflow when unpacking long long'),
    ('torch.Generator().manual_seed(-2**63).initial_seed()', '9223372036854775808'),
    ('torch.Generator().manual_seed(-2**63-1)', '!! ValueError Overflow when unpacking long long'),
    ('torch.Generator().manual_seed(1.5)', '!! RuntimeError manual_seed expected a long, but got float'),
    ('torch.Generator().manual_seed("a")', '!! RuntimeError manual_seed expected a long, but got str'),
    ('torch.Generator().manual_seed(True).initial_seed()', '!! RuntimeError manual_seed expected a long, but got bool'),
    ('torch.Generator().manual_seed(torch.tensor(5)).initial_seed()',
     '!! RuntimeError manual_seed expected a long, but got Tensor'),
    ('torch.Generator().manual_seed()', '!! TypeError Generator.manual_seed() takes exactly one argument (0 given)'),
    ('torch.Generator().manual_seed(None)', '!! RuntimeError manual_seed expected a long, but got NoneType'),
    ('torch.Generator().get_state().shape', 'torch.Size([5056])'),
    ('torch.Generator().get_state().dtype', 'torch.uint8'),
    ('torch.Generator().set_state(torch.Generator().get_state()).initial_seed()', '67280421310721'),
    ('torch.Generator().set_state(torch.ones(3))', '!! TypeError RNG state must be a torch.ByteTensor'),
    ('torch.Generator().set_state(torch.zeros(3,dtype=torch.uint8))',
     '!! RuntimeError Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size to be 3'),
    ('torch.Generator().set_state(3)', '!! TypeError expected a torch.ByteTensor, but got int'),
    ('torch.Generator().set_state(torch.zeros(5056,dtype=torch.uint8))', '!! RuntimeError Invalid mt19937 state'),
    ('torch.Generator().clone_state().initial_seed()', '67280421310721'),
    ('torch.Generator().get_offset()', '!! RuntimeError CPU Generator does not use offset'),
    ('torch.Generator().set_offset(3)', '!! RuntimeError CPU Generator does not use offset'),
    ('torch.Generator().graphsafe_get_state()',
     '!! NotImplementedError graphsafe_get_state is not supported in this Generator'),
    ('torch.Generator().__reduce__()[1:]',
     "((device(type='cpu'),), (67280421310721, None, tensor([  1, 209, 156,  ...,   0,   0,   0], dtype=to"
     'rch.uint8)))'),
    ('torch.manual_seed(1.5).initial_seed()', '1'),
    ('torch.manual_seed("3").initial_seed()', '3'),
    ('torch.manual_seed("a")', "!! ValueError invalid literal for int() with base 10: 'a'"),
    ('torch.manual_seed(2**64)', '!! ValueError Overflow when unpacking long long'),
    ('torch.manual_seed(-1).initial_seed()', '18446744073709551615'),
    ('torch.manual_seed(-2**63-1)', '!! ValueError Overflow when unpacking long long'),
    ('torch.manual_seed(None)',
     "!! TypeError int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"),
    ('torch.manual_seed(torch.tensor(3)).initial_seed()', '3'),
    ('torch.manual_seed(seed=3).initial_seed()', '3'),
    ('torch.get_rng_state().shape', 'torch.Size([5056])'),
    ('torch.set_rng_state(torch.get_rng_state())', 'None'),
    ('torch.set_rng_state(3)', '!! TypeError expected a torch.ByteTensor, but got int'),
    ('torch.set_rng_state(torch.ones(5056))', '!! TypeError RNG state must be a torch.ByteTensor'),
    ('torch.rand()', '!! TypeError rand() received an invalid combination of arguments - got (), but expected one of:'),
    ('torch.rand(2, generator=3)',
     '!! TypeError rand() received an invalid combination of arguments - got (int, generator=int), but exp'
     'ected one of:'),
    ('torch.rand(2, generator=None).shape', 'torch.Size([2])'),
    ('torch.rand((2,), dtype=torch.int32)',
     '!! NotImplementedError "check_uniform_bounds" not implemented for \'Int\''),
    ('torch.rand((2,), out=torch.empty(2)).shape', 'torch.Size([2])'),
    ('torch.rand((2,), out=torch.empty(2,dtype=torch.float64)).dtype', 'torch.float64'),
    ('torch.rand((2,), out=torch.empty(2,dtype=torch.int32)).dtype',
     '!! NotImplementedError "check_uniform_bounds" not implemented for \'Int\''),
    ('torch.rand(2, requires_grad=True).requires_grad', 'True'),
    ('torch.rand(-1)', '!! RuntimeError Trying to create tensor with negative dimension -1: [-1]'),
    ('torch.rand(2, names=None)',
     '!! TypeError rand() received an invalid combination of arguments - got (int, names=NoneType), but ex'
     'pected one of:'),
    ('torch.randn((2,), dtype=torch.int32)', '!! NotImplementedError "normal_kernel_cpu" not implemented for \'Int\''),
    ('torch.randn("a")', "!! TypeError randn(): argument 'size' (position 1) must be tuple of ints, not str"),
    ('torch.randn(2, size=(3,))',
     '!! TypeError randn() received an invalid combination of arguments - got (int, size=tuple), but expected one of:'),
    ('torch.randint(5)',
     '!! TypeError randint() received an invalid combination of arguments - got (int), but expected one of:'),
    ('torch.randint(5, (2,)).shape', 'torch.Size([2])'),
    ('torch.randint(0, 5, (2,)).shape', 'torch.Size([2])'),
    ('torch.randint(0, 5, 2)',
     '!! TypeError randint() received an invalid combination of arguments - got (int, int, int), but expected one of:'),
    ('torch.randint(5, 2)', "!! TypeError randint(): argument 'size' (position 2) must be tuple of ints, not int"),
    ('torch.randint(5, 2, (3,))',
     "!! RuntimeError random_ expects 'from' to be less than 'to', but got from=5 >= to=2"),
    ('torch.randint(low=0, high=5, size=(2,)).shape', 'torch.Size([2])'),
    ('torch.randint(high=5, size=(2,)).shape', 'torch.Size([2])'),
    ('torch.randint(5, size=(2,)).shape', 'torch.Size([2])'),
    ('torch.randint(0, 5, size=(2,), dtype=torch.float32).dtype', 'torch.float32'),
    ('torch.randint(0, 5, (2,), requires_grad=True)',
     '!! RuntimeError Only Tensors of floating point and complex dtype can require gradients'),
    ('torch.randint(0, 5., (2,))',
     '!! TypeError randint() received an invalid combination of arguments - got (int, float, tuple), but e'
     'xpected one of:'),
    ('torch.randint(0, 2**63, (2,))', '!! ValueError Overflow when unpacking long long'),
    ('torch.randint(0, 2**63-1, (2,)).shape', 'torch.Size([2])'),
    ('torch.randint(0, 300, (2,), dtype=torch.uint8)', '!! RuntimeError to - 1 is out of bounds for unsigned char'),
    ('torch.randint(0, 2, (2,), dtype=torch.bool).dtype', 'torch.bool'),
    ('torch.randint(0, 5, (2,), out=torch.empty(2)).dtype', 'torch.float32'),
    ('torch.randint(0, 5, (2,), out=torch.empty(0, dtype=torch.int64)).dtype', 'torch.int64'),
    ('torch.randint(0, 5)', "!! TypeError randint(): argument 'size' (position 2) must be tuple of ints, not int"),
    ('torch.randint("a", (2,))', "!! TypeError randint(): argument 'high' (position 1) must be int, not str"),
    ('torch.randint(torch.tensor(3), (2,)).shape', 'torch.Size([2])'),
    ('torch.randperm(3).shape', 'torch.Size([3])'),
    ('torch.randperm(-1)', '!! RuntimeError Trying to create tensor with negative dimension -1: [-1]'),
    ('torch.randperm(3.5)', "!! TypeError randperm(): argument 'n' (position 1) must be int, not float"),
    ('torch.randperm(3, dtype=torch.float32).dtype', 'torch.float32'),
    ('torch.randperm(3, dtype=torch.bool)', '!! NotImplementedError "randperm" not implemented for \'Bool\''),
    ('torch.randperm(300, dtype=torch.uint8)',
     '!! RuntimeError value cannot be converted to type uint8_t without overflow'),
    ('torch.randperm(3, out=torch.empty(0, dtype=torch.int64)).shape', 'torch.Size([3])'),
    ('torch.randperm(3, out=torch.empty(0)).dtype', 'torch.float32'),
    ('torch.randperm(3, generator=torch.Generator()).shape', 'torch.Size([3])'),
    ('torch.randperm(3, requires_grad=True)',
     '!! RuntimeError Only Tensors of floating point and complex dtype can require gradients'),
    ('torch.randperm(n=3).shape', 'torch.Size([3])'),
    ('torch.rand_like(torch.ones(2)).shape', 'torch.Size([2])'),
    ('torch.rand_like(torch.ones(2, dtype=torch.int32))',
     '!! NotImplementedError "check_uniform_bounds" not implemented for \'Int\''),
    ('torch.rand_like(torch.ones(2), generator=torch.Generator()).shape', 'torch.Size([2])'),
    ('torch.rand_like(torch.ones(2), dtype=torch.float64, requires_grad=True).dtype', 'torch.float64'),
    ('torch.rand_like(3)', "!! TypeError rand_like(): argument 'input' (position 1) must be Tensor, not int"),
    ('torch.randint_like(torch.ones(2), 5).shape', 'torch.Size([2])'),
    ('torch.randint_like(torch.ones(2), 1, 5).dtype', 'torch.float32'),
    ('torch.randint_like(torch.ones(2), low=1, high=5).dtype', 'torch.float32'),
    ('torch.randint_like(torch.ones(2), torch.tensor(5)).dtype', 'torch.float32'),
    ('torch.randint_like(torch.ones(2), 5, 1)',
     "!! RuntimeError random_ expects 'from' to be less than 'to', but got from=5 >= to=1"),
    ('torch.randint_like(torch.ones(2))',
     '!! TypeError randint_like() received an invalid combination of arguments - got (Tensor), but expected one of:'),
    ('torch.normal(0., 1., (2,)).shape', 'torch.Size([2])'),
    ('torch.normal(0, 1, (2,)).shape', 'torch.Size([2])'),
    ('torch.normal(0, 1)',
     '!! TypeError normal() received an invalid combination of arguments - got (int, int), but expected one of:'),
    ('torch.normal(0., 1.)',
     '!! TypeError normal() received an invalid combination of arguments - got (float, float), but expected one of:'),
    ('torch.normal(torch.ones(2), 1.).shape', 'torch.Size([2])'),
    ('torch.normal(torch.ones(2)).shape', 'torch.Size([2])'),
    ('torch.normal(torch.ones(2), torch.ones(2)).shape', 'torch.Size([2])'),
    ('torch.normal(1., torch.ones(2)).shape', 'torch.Size([2])'),
    ('torch.normal(torch.ones(2), -1.)', '!! RuntimeError normal expects std >= 0.0, but found std -1'),
    ('torch.normal(torch.ones(2), -torch.ones(2))', '!! RuntimeError normal expects all elements of std >= 0.0'),
    ('torch.normal(0., -1., (2,))', '!! RuntimeError normal expects std >= 0.0, but found std -1'),
    ('torch.normal(mean=0., std=1., size=(2,)).shape', 'torch.Size([2])'),
    ('torch.normal(mean=torch.ones(2), std=1.).shape', 'torch.Size([2])'),
    ('torch.normal(torch.ones(2), torch.ones(3))',
     '!! RuntimeError The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0'),
    ('torch.normal(torch.ones(2,dtype=torch.int32), torch.ones(2))',
     '!! NotImplementedError "normal_kernel_cpu" not implemented for \'Int\''),
    ('torch.normal(torch.ones(2), 1., out=torch.empty(2)).shape', 'torch.Size([2])'),
    ('torch.normal(0., 1., (2,), out=torch.empty(2)).shape', 'torch.Size([2])'),
    ('torch.normal(0., 1., (2,), dtype=torch.float64).dtype', 'torch.float64'),
    ('torch.normal("a", 1.)',
     '!! TypeError normal() received an invalid combination of arguments - got (str, float), but expected one of:'),
    ('torch.normal(torch.ones(2,dtype=torch.float64), torch.ones(2)).dtype', 'torch.float64'),
    ('torch.normal(torch.ones(2), std=torch.ones(2)).shape', 'torch.Size([2])'),
    ('torch.bernoulli(torch.ones(2))', 'tensor([1., 1.])'),
    ('torch.bernoulli(torch.ones(2)*2)', '!! RuntimeError Expected p_in >= 0 && p_in <= 1 to be true, but got false'),
    ('torch.bernoulli(torch.ones(2), 0.0)', 'tensor([0., 0.])'),
    ('torch.bernoulli(torch.ones(2), p=0.0)', 'tensor([0., 0.])'),
    ('torch.bernoulli(torch.ones(2,dtype=torch.int32))',
     '!! NotImplementedError "bernoulli_tensor_cpu_p_" not implemented for \'Int\''),
    ('torch.bernoulli(torch.ones(2), out=torch.empty(2))', 'tensor([1., 1.])'),
    ('torch.bernoulli(0.5)', "!! TypeError bernoulli(): argument 'input' (position 1) must be Tensor, not float"),
    ('torch.ones(2).bernoulli()', 'tensor([1., 1.])'),
    ('torch.ones(2).bernoulli(0.)', 'tensor([0., 0.])'),
    ('torch.ones(2).bernoulli_(0.)', 'tensor([0., 0.])'),
    ('torch.ones(2).bernoulli_(2.)', '!! RuntimeError bernoulli_ expects p to be in [0, 1], but got p=2'),
    ('torch.ones(2).bernoulli_(torch.zeros(2))', 'tensor([0., 0.])'),
    ('torch.ones(2).bernoulli_(p=torch.zeros(2))', 'tensor([0., 0.])'),
    ('torch.ones(2).bernoulli_("a")',
     '!! TypeError bernoulli_() received an invalid combination of arguments - got (str), but expected one of:'),
    ('torch.ones(2).bernoulli_(torch.zeros(3))',
     '!! RuntimeError The expanded size of the tensor (2) must match the existing size (3) at non-singleto'
     'n dimension 0'),
    ('torch.multinomial(torch.ones(3), 2).shape', 'torch.Size([2])'),
    ('torch.multinomial(torch.ones(3), 4)',
     '!! RuntimeError cannot sample n_sample > prob_dist.size(-1) samples without replacement'),
    ('torch.multinomial(torch.ones(3), 4, True).shape', 'torch.Size([4])'),
    ('torch.multinomial(torch.ones(3), num_samples=4, replacement=True).shape', 'torch.Size([4])'),
    ('torch.multinomial(torch.ones(3), 0)', '!! RuntimeError cannot sample n_sample <= 0 samples'),
    ('torch.multinomial(torch.zeros(3), 1)',
     '!! RuntimeError invalid multinomial distribution (sum of probabilities <= 0)'),
    ('torch.multinomial(torch.ones(3)*-1, 1)',
     '!! RuntimeError probability tensor contains either `inf`, `nan` or element < 0'),
    ('torch.multinomial(torch.ones(3,dtype=torch.int32), 1)',
     '!! RuntimeError multinomial only supports floating-point dtypes for input, got: Int'),
    ('torch.multinomial(torch.ones(3), 2, out=torch.empty(2,dtype=torch.int64)).shape', 'torch.Size([2])'),
    ('torch.multinomial(torch.ones(3), 2, out=torch.empty(2))',
     '!! RuntimeError multinomial expects Long tensor out, got: Float'),
    ('torch.ones(3).multinomial(2).shape', 'torch.Size([2])'),
    ('torch.ones(3).multinomial(1.5)',
     "!! TypeError multinomial(): argument 'num_samples' (position 1) must be int, not float"),
    ('torch.ones(3).uniform_(0,1).shape', 'torch.Size([3])'),
    ('torch.ones(3).uniform_(1,0)',
     '!! RuntimeError uniform_ expects to return a [from, to) range, but found from=1 > to=0'),
    ('torch.ones(3).uniform_(to=2).shape', 'torch.Size([3])'),
    ('torch.ones(3).uniform_(**{"from":0}).shape', 'torch.Size([3])'),
    ('torch.ones(3).uniform_(0,1,generator=torch.Generator()).shape', 'torch.Size([3])'),
    ('torch.ones(3).uniform_(0,1,torch.Generator())',
     '!! TypeError uniform_() takes from 0 to 2 positional arguments but 3 were given'),
    ('torch.ones(3,dtype=torch.int32).uniform_()',
     '!! NotImplementedError "check_uniform_bounds" not implemented for \'Int\''),
    ('torch.ones(3,requires_grad=True).uniform_()',
     '!! RuntimeError a leaf Variable that requires grad is being used in an in-place operation'),
    ('torch.ones(3).normal_(0,-1)', '!! RuntimeError normal expects std >= 0.0, but found std -1'),
    ('torch.ones(3).normal_("a")', "!! TypeError normal_(): argument 'mean' (position 1) must be float, not str"),
    ('torch.ones(3).random_().shape', 'torch.Size([3])'),
    ('torch.ones(3).random_(5).shape', 'torch.Size([3])'),
    ('torch.ones(3).random_(1,5).shape', 'torch.Size([3])'),
    ('torch.ones(3).random_(5,1)',
     "!! RuntimeError random_ expects 'from' to be less than 'to', but got from=5 >= to=1"),
    ('torch.ones(3).random_(0)', "!! RuntimeError random_ expects 'from' to be less than 'to', but got from=0 >= to=0"),
    ('torch.ones(3).random_(1,None).shape', 'torch.Size([3])'),
    ('torch.ones(3).random_(to=5).shape', 'torch.Size([3])'),
    ('torch.ones(3).random_(**{"from":1,"to":3}).shape', 'torch.Size([3])'),
    ('torch.ones(3,dtype=torch.uint8).random_(1,300)', '!! RuntimeError to - 1 is out of bounds for unsigned char'),
    ('torch.ones(3).random_(1.5)',
     '!! TypeError random_() received an invalid combination of arguments - got (float), but expected one of:'),
    ('torch.ones(3).exponential_().shape', 'torch.Size([3])'),
    ('torch.ones(3).exponential_(-1)', '!! RuntimeError exponential_ expects lambda > 0.0, but found lambda=-1'),
    ('torch.ones(3).exponential_(lambd=2).shape', 'torch.Size([3])'),
    ('torch.ones(3,dtype=torch.int32).exponential_()',
     '!! RuntimeError Exponential distribution is a continuous probability distribution'),
    ('torch.ones(3).cauchy_().shape', 'torch.Size([3])'),
    ('torch.ones(3).cauchy_(0,-1)', '!! RuntimeError cauchy_ expects sigma > 0.0, but found sigma=-1'),
    ('torch.ones(3).geometric_(0.5).shape', 'torch.Size([3])'),
    ('torch.ones(3).geometric_(0)', '!! RuntimeError geometric_ expects p to be in (0, 1), but got p=0'),
    ('torch.ones(3).geometric_()', '!! TypeError geometric_() missing 1 required positional arguments: "p"'),
    ('torch.ones(3).log_normal_().shape', 'torch.Size([3])'),
    ('torch.ones(3).log_normal_(std=-1)', '!! RuntimeError log_normal_ expects std > 0.0, but found std=-1'),
    ('torch.ones(3).log_normal_(1,2,generator=torch.Generator()).shape', 'torch.Size([3])'),
    ('torch.rand(2, out=torch.empty(2, requires_grad=True))', '!! RuntimeError aten::rand(): functions with out='),
    ('torch.randperm(3, out=torch.empty(3, requires_grad=True))',
     '!! RuntimeError aten::randperm(): functions with out='),
    ('torch.bernoulli(torch.ones(2,requires_grad=True), out=torch.empty(2))',
     '!! RuntimeError bernoulli(): functions with out='),
    ('torch.normal(torch.ones(2,requires_grad=True), 1., out=torch.empty(2))',
     '!! RuntimeError normal(): functions with out='),
    ('torch.randint(3, (2,), 5)',
     '!! TypeError randint() received an invalid combination of arguments - got (int, tuple, int), but exp'
     'ected one of:'),
    ('torch.randint(high=3, low=1, size=(2,2)).shape', 'torch.Size([2, 2])'),
    ('torch.randint(1.0, 3.0, (2,))',
     '!! TypeError randint() received an invalid combination of arguments - got (float, float, tuple), but'
     ' expected one of:'),
    ('torch.rand(size=(2,3)).shape', 'torch.Size([2, 3])'),
    ('torch.rand(2,3,4).shape', 'torch.Size([2, 3, 4])'),
    ('torch.rand([2,3]).shape', 'torch.Size([2, 3])'),
    ('torch.randn(2,3,requires_grad=True).requires_grad', 'True'),
    ('torch.randn(2.5)', "!! TypeError randn(): argument 'size' (position 1) must be tuple of ints, not float"),
    ('torch.randn(2, 2.5)',
     '!! TypeError randn(): argument \'size\' failed to unpack the object at pos 2 with error "type must be '
     'tuple of ints,but got float"'),
    ('torch.randn()',
     '!! TypeError randn() received an invalid combination of arguments - got (), but expected one of:'),
    ('torch.randn(2, dtype=int)', '!! NotImplementedError "normal_kernel_cpu" not implemented for \'Long\''),
    ('torch.rand(2, dtype=float).dtype', 'torch.float64'),
    ('torch.randperm(3, device="cpu").dtype', 'torch.int64'),
    ('torch.multinomial(torch.ones(3), 2, generator=torch.Generator()).dtype', 'torch.int64'),
    ('torch.multinomial(torch.ones(2,2,2), 2)', '!! RuntimeError prob_dist must be 1 or 2 dim'),
    ('torch.multinomial(torch.ones(3))',
     '!! TypeError multinomial() missing 1 required positional arguments: "num_samples"'),
    ('torch.multinomial(torch.ones(3), 2, 1)',
     "!! TypeError multinomial(): argument 'replacement' (position 3) must be bool, not int"),
    ('torch.bernoulli(torch.ones(3), 1.5)', '!! RuntimeError bernoulli_ expects p to be in [0, 1], but got p=1.5'),
    ("torch.bernoulli(torch.ones(3)*float('nan'))",
     '!! RuntimeError Expected p_in >= 0 && p_in <= 1 to be true, but got false'),
    ('torch.normal(1., 2., 3)',
     '!! TypeError normal() received an invalid combination of arguments - got (float, float, int), but ex'
     'pected one of:'),
    ('torch.normal(1., 2., [3,4]).shape', 'torch.Size([3, 4])'),
    ('torch.ones(3).normal_(generator=torch.Generator()).shape', 'torch.Size([3])'),
    ('torch.ones(3).normal_(mean=1, std=2).shape', 'torch.Size([3])'),
    ("torch.ones(3).uniform_(float('nan'), 1)", '!! RuntimeError from is out of bounds for float'),
    ('torch.ones(3).uniform_(0, 1e39)', '!! RuntimeError to is out of bounds for float'),
    ('torch.ones(3).random_(0, 2**63)', '!! ValueError Overflow when unpacking long long'),
    ('torch.ones(3, dtype=torch.int64).random_(0, 2**63-1).dtype', 'torch.int64'),
    ('torch.ones(3, dtype=torch.int64).random_(0, None).dtype', 'torch.int64'),
    ('torch.ones(3).random_(2**24, 2**24+10).dtype', 'torch.float32'),
    ('torch.ones(3).random_(2**25, 2**25+10).dtype', 'torch.float32'),
    ('torch.ones(3, dtype=torch.int32).normal_()',
     '!! NotImplementedError "normal_kernel_cpu" not implemented for \'Int\''),
    ('torch.ones(3, dtype=torch.int32).cauchy_()',
     '!! RuntimeError Cauchy distribution is a continuous probability distribution'),
    ('torch.ones(3, dtype=torch.int32).log_normal_()',
     '!! NotImplementedError "log_normal_cpu" not implemented for \'Int\''),
    ('torch.ones(3, dtype=torch.bool).geometric_(0.5)',
     '!! NotImplementedError "geometric_cpu" not implemented for \'Bool\''),
    ('torch.ones(3, dtype=torch.int32).geometric_(0.5).dtype', 'torch.int32'),
    ('torch.ones(3).expand(2,3).uniform_()',
     '!! RuntimeError unsupported operation: more than one element of the written-to tensor refers to a si'
     'ngle memory location'),
    ('torch.ones(1).expand(3).uniform_()',
     '!! RuntimeError unsupported operation: more than one element of the written-to tensor refers to a si'
     'ngle memory location'),
    ('torch.ones(3).bernoulli_(0.5, generator=3)',
     '!! TypeError bernoulli_() received an invalid combination of arguments - got (float, generator=int),'
     ' but expected one of:'),
    ('torch.ones(3).bernoulli_(torch.tensor(0.5)).dtype', 'torch.float32'),
    ('torch.ones(3).bernoulli_(torch.tensor(2.))',
     '!! RuntimeError Expected p_in >= 0 && p_in <= 1 to be true, but got false'),
    ('torch.ones(3, dtype=torch.int32).bernoulli_(torch.tensor(1.))', 'tensor([1, 1, 1], dtype=torch.int32)'),
    ('torch.rand_like(torch.ones(2,3,4,5), memory_format=torch.channels_last).stride()', '(60, 1, 15, 3)'),
]


def raw(t):
    t = t.contiguous()
    n = t.numel() * t.element_size()
    return ctypes.string_at(t.data_ptr(), n) if n else b""


def bits(t):
    """Elements as the hexadecimal numbers that their bytes are."""
    data, size = raw(t), t.element_size()
    return [data[i:i + size][::-1].hex() for i in range(0, len(data), size)]


def sha(t):
    return hashlib.sha256(raw(t)).hexdigest()


def told(expression):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return repr(eval(expression)).replace("\n", " ")
    except Exception as e:
        return "!! %s %s" % (type(e).__name__, str(e).split("\n")[0])


class Streams(unittest.TestCase):
    def digest(self, expression, dtype):
        h = hashlib.sha256()
        code = compile("torch." + expression, "<table>", "eval")
        for seed in SEEDS:
            for s in SIZES:
                torch.manual_seed(seed)
                h.update(raw(eval(code, {"torch": torch, "s": s, "d": getattr(torch, dtype)})))
                h.update(raw(torch.rand(1)))
        return h.hexdigest()[:32]

    def test_every_function_in_every_dtype(self):
        for expression, by_dtype in STREAMS:
            for dtype, wanted in by_dtype.items():
                with self.subTest(expression, dtype=dtype):
                    self.assertEqual(self.digest(expression, dtype), wanted)

    def test_a_generator_of_the_same_seed_draws_the_same(self):
        for seed in SEEDS:
            g = torch.Generator().manual_seed(seed)
            torch.manual_seed(seed)
            for draw in (lambda **k: torch.rand(5, **k), lambda **k: torch.randn(20, **k), lambda **k: torch.randint(9, (4,), **k),
                         lambda **k: torch.randperm(9, **k), lambda **k: torch.empty(3).normal_(**k),
                         lambda **k: torch.multinomial(torch.ones(5), 3, **k), lambda **k: torch.bernoulli(torch.full((9,), .5), **k)):
                self.assertEqual(raw(draw(generator=g)), raw(draw()))

    def test_long_fills(self):
        torch.manual_seed(0)
        self.assertEqual(sha(torch.rand(1000000)), "c92d742c61e64442efec3e901a06c33761107221a8747c999fe6dde1f812c4bc")
        torch.manual_seed(0)
        self.assertEqual(sha(torch.randn(1200000)), "584a26e6eaad944407a96c5999aaa5cd0a6a359309a841eade68bf805c072322")
        torch.manual_seed(0)
        self.assertEqual(sha(torch.randn(100003)), "0e1052dc151d4ee630af2d3a6975bb64f2d34e0b8be27473fb8e33173f0c1858")
        torch.manual_seed(0)
        self.assertEqual(sha(torch.randint(0, 1000, (100000,))), "dbb3b3bd6caa39b74a1a76c019a85eb6fae64cf520d0e75d4b96c3a068ce5b76")
        torch.manual_seed(0)
        self.assertEqual(sha(torch.randperm(100000)), "27df463fc2ed34f1872ba6e45cebe8746252c008e368e9eed203473cc8646f09")
        torch.manual_seed(0)
        self.assertEqual(sha(torch.empty(100000).uniform_(-.1, .1)),
                         "5cc5e46598847b8e9c62706ac78e41842af607e64327f1dfbb91e563a373b33f")
        torch.manual_seed(0)
        self.assertEqual(sha(torch.empty(100000).bernoulli_(.5)), "dfc113ae7da51804cc1121aa609a6e15f259b4de4be338d6e57d7834e99102cf")

    def test_known_bits(self):
        torch.manual_seed(0)
        self.assertEqual(bits(torch.rand(8)), ["3efe1558", "3f44aa2f", "3db533a8", "3e073300", "3e9d6686", "3f2252fb", "3efaed86", "3f657d67"])
        torch.manual_seed(0)
        self.assertEqual(bits(torch.randn(5, dtype=torch.float64)),
                         ["3ff8a7eb8902be3a", "bfd2c78a087c6fea", "c0016e2920a70ee5", "3fe23096ca3e350d", "bff15a341987e136"])
        torch.manual_seed(1234)
        self.assertEqual(torch.randint(0, 100, (6,)).tolist(), [75, 71, 6, 65, 16, 64])

    def test_seeds_that_differ_by_two_to_the_32_draw_the_same(self):
        torch.manual_seed(5)
        x = raw(torch.rand(9))
        torch.manual_seed(5 + 2**32)
        self.assertEqual(raw(torch.rand(9)), x)


class Calls(unittest.TestCase):
    def test_recorded(self):
        for expression, wanted in CALLS:
            with self.subTest(expression):
                got = told(expression)
                if wanted.startswith("!! "):
                    got = got[:len(wanted)]
                self.assertEqual(got, wanted)

    def test_gradients_of_draws_are_zero(self):
        mean = torch.ones(3, requires_grad=True)
        torch.normal(mean, 1.).sum().backward()
        self.assertEqual(mean.grad.tolist(), [0, 0, 0])

    def test_requires_grad(self):
        self.assertTrue(torch.rand(2, requires_grad=True).requires_grad)
        self.assertTrue(torch.randn_like(torch.ones(2), requires_grad=True).requires_grad)

    def test_out_is_filled_where_it_lies(self):
        out = torch.empty(3, 4).t()
        torch.manual_seed(3)
        self.assertIs(torch.rand(4, 3, out=out), out)
        torch.manual_seed(3)
        self.assertEqual(torch.rand(3, 4).tolist(), out.t().tolist())
        self.assertEqual(tuple(torch.randn(5, out=torch.empty(0)).shape), (5,))


class Generators(unittest.TestCase):
    def test_manual_seed_gives_the_generator(self):
        self.assertIs(torch.manual_seed(3), torch.default_generator)
        g = torch.Generator()
        self.assertIs(g.manual_seed(3), g)
        self.assertEqual(g.device, torch.device("cpu"))

    def test_seed_draws_a_seed(self):
        g = torch.Generator()
        self.assertEqual(g.seed(), g.initial_seed())
        self.assertEqual(torch.seed(), torch.initial_seed())

    def test_state_goes_back_and_forth(self):
        torch.manual_seed(7)
        torch.randn(3)
        state = torch.get_rng_state()
        x = raw(torch.randn(9))
        torch.set_rng_state(state)
        self.assertEqual(raw(torch.randn(9)), x)
        g = torch.Generator()
        g.set_state(state)
        self.assertEqual(raw(torch.randn(9, generator=g)), x)
        self.assertEqual(raw(torch.randn(9, generator=g.set_state(state).clone_state())), x)

    def test_copies_stand_at_the_same_place(self):
        g = torch.Generator().manual_seed(5)
        torch.rand(3, generator=g)
        for h in (copy.copy(g), copy.deepcopy(g)):
            self.assertIsNot(h, g)
            self.assertEqual(h.initial_seed(), 5)
            self.assertEqual(raw(torch.rand(4, generator=h)), raw(torch.rand(4, generator=g.clone_state())))

    def test_state_pickles(self):
        g = torch.Generator().manual_seed(5)
        make, args, state = g.__reduce__()
        h = make(*args)
        h.__setstate__(state)
        self.assertEqual(raw(torch.rand(4, generator=h)), raw(torch.rand(4, generator=g)))
        self.assertRaises(TypeError, h.__setstate__, 3)
        self.assertRaises(TypeError, h.__setstate__, (1,))

    def test_fork_rng(self):
        from wengert.random import fork_rng
        torch.manual_seed(1)
        x = raw(torch.rand(3))
        torch.manual_seed(1)
        with fork_rng():
            torch.rand(100)
        self.assertEqual(raw(torch.rand(3)), x)

    def test_threads_share_a_generator(self):
        g = torch.Generator()
        threads = [threading.Thread(target=lambda: [torch.rand(70000, generator=g) for _ in range(20)]) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(torch.rand(3, generator=g).numel(), 3)


if __name__ == "__main__":
    unittest.main()
