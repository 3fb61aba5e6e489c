import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from timm import create_model
from timm.optim import create_optimizer_v2

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from grouped import Alone, Grouped, GroupedAdamW

NAME = "tf_efficientnet_lite0"
CPU = torch.device("cpu")


@pytest.fixture
def networks():
    torch.manual_seed(0)
    made = [create_model(NAME, in_chans=1, num_classes=3).double() for _ in range(2)]
    for network in made:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return made


def test_grouped_networks_give_the_logits_that_each_gives_alone(networks):
    images = torch.randn(2, 3, 1, 40, 48, dtype=torch.double)
    grouped = Grouped(networks[0], [network.state_dict() for network in networks], CPU)
    with torch.no_grad():
        alone = [network.eval()(own) for network, own in zip(networks, images)]
        torch.testing.assert_close(grouped(images, training=False), torch.stack(alone))
        torch.testing.assert_close(grouped.part(1, 2)(images[1:], training=False)[0], alone[1])


@pytest.mark.slow
def test_a_step_changes_each_as_a_step_alone_would(networks):
    images = torch.randn(2, 4, 1, 40, 48, dtype=torch.double)
    labels = torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])
    grouped = Grouped(networks[0], [network.state_dict() for network in networks], CPU)
    optimizer = GroupedAdamW(grouped, weight_decay=0.05, clip_grad_norm=5.0)
    losses = F.cross_entropy(grouped(images, training=True).transpose(1, 2), labels, reduction="none").mean(1)
    losses.sum().backward()
    gradients = {name: value.grad.clone() for name, value in grouped.parameters.items()}
    optimizer.step(learning_rate=0.01)
    for index, network in enumerate(networks):
        alone = create_optimizer_v2(network, "adamw", lr=0.01, weight_decay=0.05)
        loss = F.cross_entropy(network.train()(images[index]), labels[index])
        loss.backward()
        torch.testing.assert_close(losses[index], loss)
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(gradients[name][index], parameter.grad)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        alone.step()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(grouped.parameters[name][index], parameter)
        for name, buffer in network.named_buffers():
            if buffer.is_floating_point():
                torch.testing.assert_close(grouped.buffers[name][index], buffer)


def test_one_network_alone_does_what_a_group_of_one_does(networks):
    images = torch.randn(1, 4, 1, 40, 48, dtype=torch.double)
    one, alone = (kind(networks[0], [networks[0].state_dict()], CPU) for kind in (Grouped, Alone))
    for training in (False, True):
        torch.testing.assert_close(alone(images, training), one(images, training))
        torch.testing.assert_close(alone.features(images, training), one.features(images, training))
    for each in (one, alone):
        F.cross_entropy(each(images, training=True)[0], torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in one.parameters.items():
        torch.testing.assert_close(alone.parameters[name].grad, parameter.grad)
    torch.testing.assert_close(alone.buffers, one.buffers)
    assert isinstance(alone.part(0, 1), Alone)


def test_another_architecture_is_refused():
    network = create_model("efficientnet_b0", in_chans=1, num_classes=3)  # it has squeeze and excitation
    grouped = Grouped(network, [network.state_dict()], CPU)
    with pytest.raises(ValueError, match=r"blocks\.0\.0\.se: SqueezeExcite is not known"):
        grouped(torch.randn(1, 2, 1, 32, 32), training=True)
