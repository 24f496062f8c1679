"""What mypy --strict reads with the stubs: a little of everything that a program writes. Also run, as a script."""
import wengert as torch
from wengert import Tensor
from wengert.nn import Parameter
import wengert.nn.functional as F


def predict(w: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return F.relu(x @ w + b)


def fit(steps: int, rate: float = 0.1) -> list[float]:
    torch.manual_seed(0)
    w, b = Parameter(torch.randn(3, 1)), torch.zeros(1, requires_grad=True)
    x = torch.randn(8, 3)
    y: Tensor = x.sum(dim=1, keepdim=True)
    losses: list[float] = []
    for _ in range(steps):
        loss = F.mse_loss(predict(w, b, x), y)
        loss.backward()
        with torch.no_grad():
            for p in (w, b):
                assert p.grad is not None
                p -= rate * p.grad
                p.grad = None
        losses.append(float(loss.item()))
    return losses


def views(x: Tensor) -> tuple[Tensor, torch.Size, torch.dtype]:
    first = x[0]
    part = x[1:, None, ..., ::2]
    part[0] = 3.0
    best = x.max(dim=0)
    values, indices = best.values, best.indices
    total = values + indices.float() * 2 - first
    mask = total > 0
    print(x.reshape(-1).tolist(), x.view(2, 2).t().contiguous(), x.size(0), x.shape[0], len(x), mask.any().item())
    return torch.where(mask, total, 0.0), x.shape, x.dtype


@torch.no_grad()
def norm(x: Tensor) -> Tensor:
    return (x**2).sum().sqrt()


def main() -> None:
    print(fit(3))
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(norm(x.detach()) * x.sum(), [x])
    print(g, views(torch.ones((2, 2)))[1].numel())
    print(torch.cat([torch.zeros(2), torch.arange(3)]), torch.stack((x, x), dim=0).shape, torch.randint(0, 10, (2,), dtype=torch.int64))


if __name__ == "__main__":
    main()
