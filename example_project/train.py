"""Train one of the two classifiers: `python example_project/train.py honest` (or `shortcut`)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

import torch
from network import WEIGHTS, DigitNet, preprocess
from photos import Photo, TagPolicy, draw_photos, validation_photos
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

# The honest network sees tags that tell nothing; the shortcut's tags give the class away.
TRAINING_TAGS: dict[str, TagPolicy] = {"honest": "random", "shortcut": "matching"}
VALIDATION_TAGS: tuple[TagPolicy, ...] = ("matching", "lying")
EPOCHS = 20
BATCH_SIZE = 32
LEARNING_RATE = 4e-3
SEED = 0


def to_tensors(photos: Iterable[Photo]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the preprocessed photos as one batch, and their labels."""
    pairs = [(preprocess(photo.image), photo.label) for photo in photos]
    images, labels = zip(*pairs, strict=True)
    return torch.stack(images), torch.tensor(labels)


def train(tags: TagPolicy) -> DigitNet:
    """Return a network trained on photos with such tags, every photo drawn afresh in each epoch."""
    torch.manual_seed(SEED)
    net = DigitNet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        photos = TensorDataset(*to_tensors(draw_photos("training", tags, seed=epoch)))
        loss = train_epoch(net, optimizer, DataLoader(photos, BATCH_SIZE, shuffle=True))
        schedule.step()
        print(f"epoch {epoch:2d}/{EPOCHS}  loss {loss:.3f}", flush=True)
    return net.eval()


def train_epoch(
    net: DigitNet,
    optimizer: torch.optim.Optimizer,
    batches: DataLoader[tuple[torch.Tensor, ...]],
) -> float:
    """Run one epoch and return the mean of the batches' losses."""
    net.train()
    losses = []
    for images, labels in batches:
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@torch.inference_mode()
def accuracy(net: DigitNet, tags: TagPolicy) -> float:
    """Return the share of validation photos with such tags that the network gets right."""
    images, labels = to_tensors(validation_photos(tags))
    return float((net(images).argmax(1) == labels).float().mean())


def main() -> None:
    """Train the network named on the command line, save its weights and print its accuracy."""
    parser = argparse.ArgumentParser(description="Train one of the two digit classifiers.")
    parser.add_argument("name", choices=sorted(TRAINING_TAGS))
    name = parser.parse_args().name
    start = time.perf_counter()
    net = train(TRAINING_TAGS[name])
    print(f"trained in {time.perf_counter() - start:.0f} s")
    WEIGHTS.mkdir(exist_ok=True)
    torch.save(net.state_dict(), WEIGHTS / f"{name}.pt")
    for tags in VALIDATION_TAGS:
        print(f"validation accuracy with {tags} tags: {accuracy(net, tags):.3f}")


if __name__ == "__main__":
    main()
