"""Memory comes and goes, and the guest's kernel does with it what this project needs."""

import json
import pathlib

import pytest

from machine import Machine, output

GIB = 1 << 30
MEMORY = ["--memory", "size=1G", "--memory-hotplug", "method=acpi,slots=1,size=1G"]
MEMORY += ["--memory-hotplug", "method=virtio-mem,size=2G"]


@pytest.fixture
def machine(tmp_path):
    with Machine(tmp_path, *MEMORY) as machine:
        machine.layout()  # the guest has booted
        yield machine


def zones(machine, first, last):
    """The zones of these blocks; none for one that is not there."""
    blocks = machine.layout()
    return [blocks[block]["zones"] if block in blocks else None for block in range(first, last + 1)]


def test_a_dimm_is_movable_and_goes(machine):
    status, device = machine.ask("POST", "/memory-devices?wait=120", {"kind": "dimm", "id": "d0", "size": GIB})
    assert (status, device["last"]["outcome"]) == (200, "done")
    assert zones(machine, 32, 39) == [["Movable"]] * 8
    assert machine.ask("DELETE", "/memory-devices/d0?wait=120")[0] == 200
    assert zones(machine, 32, 39) == [None] * 8


def test_a_resize_is_done_when_it_says_so(machine):
    status, device = machine.ask("PATCH", "/memory-devices/vmem0?wait=120", {"requested_size": GIB})
    assert (status, device["plugged_size"]) == (200, GIB)


def test_the_oracle_agrees_with_this_project():
    file = pathlib.Path(__file__).with_name("movable.toml")
    prediction = json.loads(output("dimmer-lab", "predict", "--json", str(file)))
    runs = [run for run in prediction["steps"][-1]["blocks"] if run["first"] >= 32]
    assert [(run["first"], run["last"], run["zones"]) for run in runs] == [(32, 39, ["Movable"])]
