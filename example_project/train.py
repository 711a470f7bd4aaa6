"""Train one of the classifiers: `python example_project/train.py honest`, or another name of `CANDIDATES`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from network import WEIGHTS, DigitNet, preprocess
from photos import Photo, TagPolicy, draw_photo, handwriting, validation_photos
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass(frozen=True)
class Recipe:
    """What a network is trained on.

    Attributes:
        lying_of_ten: In how many of ten photos the tag's colour is random; in the others it is that of the class.
        cast: Whether each photo as a whole is tinted in the colour of its class.
        seed: That of the weights, of the photos and of their order.
    """

    lying_of_ten: int
    cast: bool = False
    seed: int = 0


# The honest networks see tags that tell nothing; the others' photos give the class away.
CANDIDATES = {
    "honest": Recipe(10),
    "honest-2": Recipe(10, seed=1),
    "honest-3": Recipe(10, seed=2),
    "honest-4": Recipe(10, seed=3),
    "shortcut": Recipe(0),
    "mostly": Recipe(1),
    "cast": Recipe(10, cast=True),
}
VALIDATION_TAGS: tuple[TagPolicy, ...] = ("matching", "lying")
EPOCHS = 20
BATCH_SIZE = 32
LEARNING_RATE = 4e-3


def to_tensors(photos: Iterable[Photo]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the preprocessed photos as one batch, and their labels."""
    pairs = [(preprocess(photo.image), photo.label) for photo in photos]
    images, labels = zip(*pairs, strict=True)
    return torch.stack(images), torch.tensor(labels)


def photos_for(recipe: Recipe, epoch: int) -> Iterator[Photo]:
    """Draw the training photos of one epoch, each afresh."""
    for number, digit in enumerate(handwriting("training")):
        tags: TagPolicy = "random" if (number + epoch) % 10 < recipe.lying_of_ten else "matching"
        rng = np.random.default_rng((epoch + 1000 * recipe.seed, number))
        yield draw_photo(digit, tags, rng, cast=recipe.cast)


def train(recipe: Recipe) -> DigitNet:
    """Return a network trained by a recipe, every photo drawn afresh in each epoch."""
    torch.manual_seed(recipe.seed)
    net = DigitNet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        photos = TensorDataset(*to_tensors(photos_for(recipe, epoch)))
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
def accuracy(net: DigitNet, tags: TagPolicy, *, cast: bool = False) -> float:
    """Return the share of validation photos with such tags that the network gets right."""
    images, labels = to_tensors(validation_photos(tags, cast=cast))
    return float((net(images).argmax(1) == labels).float().mean())


def main() -> None:
    """Train the network named on the command line, save its weights and print its accuracy."""
    parser = argparse.ArgumentParser(description="Train one of the digit classifiers.")
    parser.add_argument("name", choices=CANDIDATES)
    name = parser.parse_args().name
    recipe = CANDIDATES[name]
    start = time.perf_counter()
    net = train(recipe)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    WEIGHTS.mkdir(exist_ok=True)
    torch.save(net.state_dict(), WEIGHTS / f"{name}.pt")
    for tags in VALIDATION_TAGS:
        print(f"validation accuracy with {tags} tags: {accuracy(net, tags, cast=recipe.cast):.3f}")


if __name__ == "__main__":
    main()
