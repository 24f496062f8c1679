# A beginner's walk through autograd, written for PyTorch and nothing else. It runs unchanged under both:
#
#     python autograd_tutorial.py                  with PyTorch
#     python -m wengert autograd_tutorial.py       with Wengert
import torch

# A tensor whose operations are to be followed
x = torch.ones(2, 2, requires_grad=True)
print(x)

# What comes of an operation knows the operation
y = x + 2
print(y)
print(y.grad_fn)

# More operations
z = y * y * 3
out = z.mean()
print(z, out)

# The flag of a tensor can be changed in place; unless it was given, it is False
a = torch.randn(2, 2)
a = ((a * 3) / (a - 1))
print(a.requires_grad)
a.requires_grad_(True)
print(a.requires_grad)
b = (a * a).sum()
print(b.grad_fn)

# The way back: out is a scalar, so this is out.backward(torch.tensor(1.))
out.backward()

# d(out)/dx
print(x.grad)

# With a result that is no scalar, one asks for a product of a vector and the Jacobian
x = torch.randn(3, requires_grad=True)
y = x * 2
while y.data.norm() < 1000:
    y = y * 2
print(y)

gradients = torch.tensor([0.1, 1.0, 0.0001], dtype=torch.float)
y.backward(gradients)
print(x.grad)

# Inside no_grad nothing is followed
print(x.requires_grad)
print((x ** 2).requires_grad)
with torch.no_grad():
    print((x ** 2).requires_grad)

# detach: the same elements without the history
print(x.requires_grad)
y = x.detach()
print(y.requires_grad)
print(x.eq(y).all())
