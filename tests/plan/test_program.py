"""Reading compiled programs: texts as libtpu writes them, and programs compiled for virtual devices of a CPU."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.plan.program import Program, size_of

LOOPS = """HloModule jit_train_step

%inner (state: (s32[], u8[9])) -> (s32[], u8[9]) {
  ROOT %step = (s32[]{:T(128)}, u8[9]{0}) fusion(%state), calls=%f, backend_config={"estimated_cycles":"10"}
}

%inner_condition (state: (s32[], u8[9])) -> pred[] {
  %limit = s32[]{:T(128)} constant(7)
  ROOT %less = pred[]{:T(512)} compare(%turn, %limit), direction=LT
}

%outer (state: (s32[], u8[9])) -> (s32[], u8[9]) {
  %loop.1 = (s32[]{:T(128)}, u8[9]{0}) while(%start), condition=%inner_condition, body=%inner
  %pooled = f32[1000,500]{1,0:T(8,128)} select-and-scatter(%wide), select=%f, scatter=%add
  %sum = f32[100]{0} all-reduce(%gradient), replica_groups={{0,1},{2,3}}, to_apply=%add
  ROOT %next = (s32[]{:T(128)}, u8[9]{0}) fusion(%state), backend_config={"estimated_cycles":"1000"}
}

%outer_condition (state: (s32[], u8[9])) -> pred[] {
  ROOT %less.1 = pred[]{:T(512)} compare(%turn, %other), direction=LT
}

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %plus = f32[] add(%a, %b)
}

%f (a: f32[]) -> f32[] {
  ROOT %minus = f32[] negate(%a)
}

%never (a: f32[]) -> f32[] {
  ROOT %gather = f32[8]{0} all-gather(%a), replica_groups={{0,1,2,3}}
}

ENTRY %main (images: f32[1000,500]) -> f32[1000,500] {
  %images = f32[1000,500]{1,0:T(8,128)} parameter(0)
  %loop.2 = (s32[]{:T(128)}, u8[9]{0}) while(%start), condition=%outer_condition, body=%outer, \
backend_config={"known_trip_count":{"n":"3"}}
  %update = f32[4]{0} fusion(%images), calls=%f, backend_config={"estimated_cycles":"5"}
  ROOT %pool = f32[1000,500]{1,0:T(8,128)} select-and-scatter(%images, %images), select=%f, scatter=%add
}
"""

COLLECTIVES = """HloModule jit_train_step

ENTRY %main () -> f32[] {
  %weights = f32[96]{0:T(128)} parameter(0)
  %gradients = bf16[5,5,48,256]{3,2,1,0:T(8,128)(2,1)} parameter(1)
  %all-reduce.21 = (bf16[5,5,48,256]{3,2,1,0:T(8,128)(2,1)S(1)}, /*index=1*/f32[96]{0:T(128)}) \
all-reduce(%gradients, /*index=1*/%weights), channel_id=3, \
replica_groups=mesh['axis_0'=8,'axis_1'=2,'axis_2'=1] {'axis_0','axis_2'}, use_global_device_ids=true, to_apply=%add, \
metadata={op_name="jit(train_step)/transpose(jvp(AlexNet))/conv1/conv_general_dilated" stack_frame_id=263}
  %all-gather-start = (f32[96]{0}, f32[768]{0}) all-gather-start(%weights), replica_groups=[2,8]<=[8,2]T(1,0)
  %all-gather-done = f32[768]{0} all-gather-done(%all-gather-start)
  %reduce-scatter = f32[12]{0} reduce-scatter(%weights), replica_groups=[2,8]<=[16], to_apply=%add
  %permute = f32[96]{0} collective-permute(%weights), source_target_pairs={{0,1},{1,0}}
  ROOT %all = f32[96]{0} all-to-all(%weights), replica_groups={}
}
"""


def test_a_loop_counts_its_iterations_and_those_of_the_loop_around_it():
    program = Program(LOOPS)
    assert program.cycles(loops=False) == 10 + 1000 + 5
    assert program.cycles() == 3 * (7 * 10 + 1000) + 5


def test_a_collective_counts_once_per_iteration_and_not_if_it_never_runs():
    assert [(found.kind, found.bytes, found.times) for found in Program(LOOPS).collectives()] == [
        ("all-reduce", 400, 3),
    ]


def test_large_operations_without_an_estimate_are_listed():
    assert Program(LOOPS).without_estimate() == {"select-and-scatter": (3 + 3 * 1) * 4 * 1000 * 500}


def test_collectives_have_their_bytes_and_the_size_of_their_groups():
    found = Program(COLLECTIVES, devices=16).collectives()
    assert [(each.kind, each.bytes, each.group) for each in found] == [
        ("all-reduce", 2 * 5 * 5 * 48 * 256 + 4 * 96, 8),
        ("all-gather", 4 * 768, 8),
        ("reduce-scatter", 4 * 96, 8),
        ("collective-permute", 4 * 96, 2),
        ("all-to-all", 4 * 96, 16),
    ]
    assert found[0].source == "jit(train_step)/transpose(jvp(AlexNet))/conv1/conv_general_dilated"


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("bf16[2,3]{1,0:T(8,128)(2,1)S(1)}", 12),
        ("(f32[4]{0}, /*index=1*/pred[5]{0}, s32[]{:T(128)})", 16 + 5 + 4),
        ("s4[8]{0}", 4),
        ("f8e4m3fn[8]{0}", 8),
    ],
)
def test_bytes_of_shapes(shape, size):
    assert size_of(shape) == size


def test_a_program_of_two_devices_shows_what_they_exchange():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows, copies = jax.NamedSharding(mesh, jax.P("data")), jax.NamedSharding(mesh, jax.P())

    def gradient(weights: jax.Array, images: jax.Array) -> jax.Array:
        return jax.grad(lambda weights: jnp.square(images @ weights).mean())(weights)

    weights = jax.ShapeDtypeStruct((6, 5), np.float32, sharding=copies)
    images = jax.ShapeDtypeStruct((4, 6), np.float32, sharding=rows)
    compiled = jax.jit(gradient, out_shardings=copies).lower(weights, images).compile()
    found = Program(compiled.as_text(), devices=2).collectives()
    assert [(each.kind, each.bytes, each.group, each.times) for each in found] == [("all-reduce", 4 * 6 * 5, 2, 1)]


def test_a_program_of_a_cpu_shows_the_iterations_of_its_loops():
    def steps(weights: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 5, lambda _, weights: jnp.sin(weights @ weights), weights)

    program = Program(jax.jit(steps).lower(jax.ShapeDtypeStruct((4, 4), np.float32)).compile().as_text())
    assert 5 in program.runs.values()
