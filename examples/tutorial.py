"""PyTorch's autograd tutorial, step by step, in Python: the same as tutorial.c.

    python tutorial.py [SEED]      (0 when not given)
"""
import sys

import wengert as torch

torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)

# A tensor that remembers how it was made
x = torch.ones(2, 2, requires_grad=True)
print(x)
y = x + 2
print(y)
print(y.grad_fn)
z = y * y * 3
out = z.mean()
print(z, out)

# requires_grad_ changes an existing tensor's flag in place
a = torch.randn(2, 2)
a = (a * 3) / (a - 1)
print(a.requires_grad)
a.requires_grad_(True)
print(a.requires_grad)
b = (a * a).sum()
print(b.grad_fn)

# Gradients: d(out)/dx = 3/2 (x + 2)
out.backward()
print(x.grad)

# A vector-Jacobian product: y is no scalar, so backward needs a vector
x = torch.randn(3, requires_grad=True)
y = x * 2
while y.data.norm() < 1000:
    y = y * 2
print(y)
v = torch.tensor([0.1, 1.0, 0.0001])
y.backward(v)
print(x.grad)

# Stop recording: no_grad for a block, detach for a tensor
print(x.requires_grad)
print((x ** 2).requires_grad)
with torch.no_grad():
    print((x ** 2).requires_grad)
print(x.requires_grad)
d = x.detach()
print(d.requires_grad)
print(x.eq(d).all())
