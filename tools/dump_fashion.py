#!/usr/bin/env python3
"""Records how PyTorch trains the network of examples/fashion_mnist.c, seeds 0 to 2: tests/golden/data/fashion.txt, read
by tests/golden/test_fashion.c, which runs the example beside it.

Run with an interpreter that has torch (no part of the library or its tests needs it):
    python tools/dump_fashion.py [OUTPUT [FOLDER OF THE DATA]]

Layout: four header lines (format, producer, script, sha256 of this script) and an empty line; then text, for each seed:
"seed S"; "weights C": CRC-32 of the starting weights and biases, float32, layer by layer; "order C" for each epoch:
CRC-32 of its permutation, int64; "loss L" for each of the first 100 steps; "accuracy A" after the last epoch.
"""
import gzip
import hashlib
import os
import sys
import zlib

import torch
import torch.nn as nn

EPOCHS, BATCH, RECORDED_STEPS = 5, 64, 100


def read(folder, name, header):
    with gzip.open(os.path.join(folder, name)) as f:
        return torch.frombuffer(bytearray(f.read()[header:]), dtype=torch.uint8)


def load(folder, part):
    images = read(folder, part + "-images-idx3-ubyte.gz", 16).view(-1, 784)
    return images.float() / 255, read(folder, part + "-labels-idx1-ubyte.gz", 8).long()


def checksum(tensors):
    value = 0
    for t in tensors:
        value = zlib.crc32(t.detach().numpy().tobytes(), value)
    return f"{value:08x}"


def train(seed, images, labels, test_images, test_labels):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    lines, losses, n = [f"seed {seed}", "weights " + checksum(net.parameters())], [], len(images)
    steps = (n + BATCH - 1) // BATCH * EPOCHS
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(EPOCHS):
        order = torch.randperm(n)
        lines.append("order " + checksum([order]))
        for rows in order.split(BATCH):
            optimizer.param_groups[0]["lr"] = 0.05 * (1 - len(losses) / steps)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(images[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    with torch.no_grad():
        accuracy = (net(test_images).argmax(1) == test_labels).float().mean().item()
    return lines + [f"loss {v:.9g}" for v in losses[:RECORDED_STEPS]] + [f"accuracy {accuracy:.6f}"]


def main():
    here = os.path.abspath(__file__)
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(here),
                                                                "../tests/golden/data/fashion.txt")
    folder = sys.argv[2] if len(sys.argv) > 2 else "/usr/share/datasets/fashion-mnist"
    torch.set_num_threads(1)  # the same sums in the same order on every machine
    data, lines = load(folder, "train") + load(folder, "t10k"), []
    for seed in range(3):
        lines += train(seed, *data)
        print(f"seed {seed}: {lines[-1]}")
    digest = hashlib.sha256(open(here, "rb").read()).hexdigest()
    header = (f"wengert-golden fashion 1\nproducer pytorch {torch.__version__}\n"
              f"script tools/{os.path.basename(here)}\nsha256 {digest}\n\n")
    with open(output, "w") as f:
        f.write(header + "\n".join(lines) + "\n")
    print(f"{os.path.getsize(output)} bytes in {os.path.normpath(output)}")


if __name__ == "__main__":
    main()
