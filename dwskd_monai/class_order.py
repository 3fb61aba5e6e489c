"""The order of a bundle's classes, here because rooms that do not import each other need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ClassNames = Sequence[str] | Mapping[str, str]


def in_order(class_names: ClassNames) -> list[str]:
    """Names in the order of the network's outputs.

    Args:
        class_names: the names in order; or ``channel_def`` of the metadata, whose keys are the numbers of the classes,
            in any order.

    Raises:
        ValueError: if the keys of ``channel_def`` are not 0, 1, 2, ….
    """
    if not isinstance(class_names, Mapping):
        return list(class_names)
    numbers = [str(number) for number in range(len(class_names))]
    names = {str(key): name for key, name in class_names.items()}
    if set(names) != set(numbers):
        raise ValueError(
            f"channel_def: expected the keys {', '.join(numbers)}, one for each class; got {', '.join(names)}"
        )
    return [names[number] for number in numbers]
