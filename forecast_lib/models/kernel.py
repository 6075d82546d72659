"""LSTM networks without a framework: a whole epoch of training, or a layer's states, in one call of compiled
code, tickers side by side in threads.

A small network's training time goes into matrix products too small for a library's blocking, and into the
passes between them. Here a product is made of register tiles, `_TILE_ROWS` rows by one or two vectors of the
processor, written as LLVM code; arrays are laid out so that no operand is ever packed, and what a time step
works on stays in the core's own cache.

Units are rows, the windows of a batch are columns. At each time step stand below each other

    [1; h; x]   a row of ones, the layer's state before the step, its input     (1 + units + inputs, columns)

so that one product with `[bias; recurrent_kernel; kernel]` (1 + units + inputs, 4 * units) gives all four
gates, and one product gives that matrix's whole gradient. The head's matrix `[bias; kernel]` meets the first
rows of the same array. Where nothing is learned, windows are rows and gates are columns.

The equations are Keras's (gates in the order input, forget, cell, output; Adam with its defaults); tests
compare losses, gradients and weights with Keras's own.
"""

import functools
import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from forecast_lib.models.heads import DF_OFFSET, LOG_SCALE_OFFSET, MIN_DF, OUTPUTS_PER_STEP
from forecast_lib.models.network import Network, weight_specs
from forecast_lib.models.weights import Weights
from forecast_lib.windows.sequences import Batches, Framing

__all__ = ["Kernel", "layer_states", "supports"]

Float32 = NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])

_FEATURES = llvm.get_host_cpu_features()
# One vector of 16 floats where the processor has them, else two of 8, else four of 4: more columns would only
# fill small batches up.
_TILE_COLUMNS = 16 if _FEATURES.get("avx2") else 8
# Enough running sums to hide a multiply-add's latency: eight vectors, for processors that add to two of them
# at once, or ten of the shorter ones, which with two more and a factor still are in 16 registers.
_TILE_ROWS = 8 if _FEATURES.get("avx512f") else 5
_SQUARE = 8  # rows and columns transposed at once; `_TILE_COLUMNS` is a multiple of it
_HALF_COLUMNS = max(_TILE_COLUMNS // 2, _SQUARE)  # of a batch that is no larger: one ticker's validation
_MOST_COLUMNS = 32  # windows worked on together: more would leave the cache
_FUSED = ("contract",)
# Where nothing is learned a tile is of windows, five as mostly in one ticker's validation, and of two vectors
# of gates: ten sums too.
_WINDOWS = 5
_WIDE = 2 * _TILE_COLUMNS if _FEATURES.get("avx512f") else _TILE_COLUMNS
_WIDEST = 4 * _TILE_COLUMNS  # of gates for a window by itself, that most nights ask of


def _compiled(function: Function) -> Function:
    # Numba's cache knows when this file changes, not when another does: what comes from elsewhere must come
    # as an argument.
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(_FUSED)}
    try:
        return cast(Function, njit(cache=True, **options)(function))
    except (
        RuntimeError
    ):  # neither the package's folder nor the user's can be written: compile in each process anew
        return cast(Function, njit(**options)(function))


class _Shape(NamedTuple):
    layers: int
    units: int
    length: int
    positions: int
    outputs: int
    student_t: bool
    min_df: float
    df_offset: float
    log_scale_offset: float


class _State(NamedTuple):
    """Flat, all in the layout of `_places`; what fills a matrix's rows and columns up to whole tiles is zero
    and stays so.
    """

    weights: Float32
    gradient: Float32
    first: Float32
    second: Float32


class _Work(NamedTuple):
    """What a pass over one batch leaves for the next step; R and S are rows filled up to whole tiles.

    Attributes:
        read: (layers, length + 1, R, columns): [1; h; x] of each time step; the last has h only.
        gates: (layers, length, 5 * units * columns and more): input, forget, cell, output, tanh of the cell;
            on the way back the gradients.
        cells: (layers, length + 1, units * columns): the cell before each step.
        back: (length + 1, S, columns): gradients of the state before the step, from later, and of the input,
            for the layer below.
        d_cell: (units * columns,): gradient of the cell.
        turned, head_turned: (columns * width,): a time step's gradients, transposed.
        answer: the head's outputs, then their gradients.
        target, share: (steps ahead, columns): targets, then losses; and the weight of each in the mean.
    """

    read: Float32
    gates: Float32
    cells: Float32
    back: Float32
    d_cell: Float32
    turned: Float32
    head_turned: Float32
    answer: Float32
    target: Float32
    share: Float32


def _tile_of(rows: int, columns: int) -> Callable[..., None]:
    @intrinsic
    def tile(_: Any, c: Any, c_at: Any, c_row: Any, a: Any, a_at: Any, a_row: Any, a_column: Any, b: Any, b_at: Any, b_row: Any, depth: Any, add: Any) -> Any:  # fmt: skip  # noqa: E501
        """One tile of c = a @ b, or of c += a @ b with `add`: flat arrays, where in each it begins, and how
        far apart their rows are.
        """
        wide, index = ir.VectorType(ir.FloatType(), columns), ir.IntType(64)
        nothing, all_first = (
            ir.Constant(wide, ir.Undefined),
            ir.Constant(ir.VectorType(ir.IntType(32), columns), [0] * columns),
        )
        zero = ir.Constant(wide, [0.0] * columns)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            c, c_at, c_row, a, a_at, a_row, a_column, b, b_at, b_row, depth, add = arguments
            c, a, b = (_data(context, builder, signature, arguments, at) for at in (0, 3, 7))
            places = [
                _vector(builder, c, builder.add(c_at, builder.mul(c_row, index(row))), wide)
                for row in range(rows)
            ]
            factors = [builder.add(a_at, builder.mul(a_row, index(row))) for row in range(rows)]
            before, loop, done = (
                builder.block,
                builder.append_basic_block("depth"),
                builder.append_basic_block("done"),
            )
            builder.branch(loop)
            builder.position_at_end(loop)
            at, sums = builder.phi(index), [builder.phi(wide) for _ in range(rows)]
            row_of_b = builder.load(
                _vector(builder, b, builder.add(b_at, builder.mul(at, b_row)), wide), align=4
            )
            grown = []
            for total, factor in zip(sums, factors, strict=True):
                scalar = builder.load(builder.gep(a, [builder.add(factor, builder.mul(at, a_column))]))
                spread = builder.shuffle_vector(
                    builder.insert_element(nothing, scalar, ir.IntType(32)(0)), nothing, all_first
                )
                grown.append(builder.fadd(total, builder.fmul(spread, row_of_b, flags=_FUSED), flags=_FUSED))
            following = builder.add(at, index(1))
            for phi, begin, end in zip(
                [at, *sums], [index(0)] + [zero] * rows, [following, *grown], strict=True
            ):
                phi.add_incoming(begin, before)
                phi.add_incoming(end, loop)
            builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)
            builder.position_at_end(done)
            with builder.if_else(add) as (then, otherwise):
                with then:
                    for total, place in zip(grown, places, strict=True):
                        builder.store(builder.fadd(builder.load(place, align=4), total), place, align=4)
                with otherwise:
                    for total, place in zip(grown, places, strict=True):
                        builder.store(total, place, align=4)
            return context.get_dummy_value()

        return (
            types.void(c, *[types.intp] * 2, a, *[types.intp] * 3, b, *[types.intp] * 3, types.boolean),
            generate,
        )

    return cast(Callable[..., None], tile)


_tile, _half_tile = _tile_of(_TILE_ROWS, _TILE_COLUMNS), _tile_of(_TILE_ROWS, _HALF_COLUMNS)
_answer_tile, _narrow_answer_tile = _tile_of(_WINDOWS, _WIDE), _tile_of(_WINDOWS, _TILE_COLUMNS)
_lone_tile, _narrow_lone_tile = _tile_of(1, _WIDEST), _tile_of(1, _TILE_COLUMNS)


@intrinsic
def _turn(_: Any, turned: Any, turned_at: Any, turned_row: Any, x: Any, x_at: Any, x_row: Any) -> Any:
    """A square of `_SQUARE` rows and columns, transposed in registers: halves of pairs of rows change places,
    then quarters, ...
    """
    wide, lanes, index = (
        ir.VectorType(ir.FloatType(), _SQUARE),
        ir.VectorType(ir.IntType(32), _SQUARE),
        ir.IntType(64),
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, turned_at, turned_row, _, x_at, x_row = arguments
        turned, x = (_data(context, builder, signature, arguments, at) for at in (0, 3))
        places = [
            _vector(builder, x, builder.add(x_at, builder.mul(x_row, index(row))), wide)
            for row in range(_SQUARE)
        ]
        rows, apart = [builder.load(place, align=4) for place in places], _SQUARE // 2
        while apart:
            low = ir.Constant(
                lanes, [lane + (_SQUARE - apart if lane & apart else 0) for lane in range(_SQUARE)]
            )
            high = ir.Constant(
                lanes, [lane + (_SQUARE if lane & apart else apart) for lane in range(_SQUARE)]
            )
            for row in range(_SQUARE):
                if not row & apart:
                    pair = rows[row], rows[row + apart]
                    rows[row], rows[row + apart] = (
                        builder.shuffle_vector(*pair, low),
                        builder.shuffle_vector(*pair, high),
                    )
            apart //= 2
        for row, values in enumerate(rows):
            builder.store(
                values,
                _vector(builder, turned, builder.add(turned_at, builder.mul(turned_row, index(row))), wide),
                align=4,
            )
        return context.get_dummy_value()

    return types.void(turned, *[types.intp] * 2, x, *[types.intp] * 2), generate


def _data(context: Any, builder: Any, signature: Any, arguments: Any, at: int) -> Any:
    return context.make_array(signature.args[at])(context, builder, arguments[at]).data


def _vector(builder: Any, data: Any, at: Any, wide: Any) -> Any:
    return builder.bitcast(builder.gep(data, [at]), wide.as_pointer())


@_compiled
def _product(
    c: Float32, c_at: int, c_row: int, rows: int, columns: int,
    a: Float32, a_at: int, a_row: int, a_column: int, b: Float32, b_at: int, b_row: int, depth: int,
    add: bool,
) -> None:  # fmt: skip
    whole = columns - columns % _TILE_COLUMNS
    for row in range(0, rows, _TILE_ROWS):
        for column in range(0, whole, _TILE_COLUMNS):
            places = c_at + row * c_row + column, a_at + row * a_row, b_at + column
            _tile(c, places[0], c_row, a, places[1], a_row, a_column, b, places[2], b_row, depth, add)
        if whole < columns:
            places = c_at + row * c_row + whole, a_at + row * a_row, b_at + whole
            _half_tile(c, places[0], c_row, a, places[1], a_row, a_column, b, places[2], b_row, depth, add)


@_compiled
def _transpose(turned: Float32, turned_row: int, x: Float32, rows: int, columns: int) -> None:
    whole = rows - rows % _SQUARE
    for row in range(0, whole, _SQUARE):
        for column in range(0, columns, _SQUARE):
            _turn(turned, column * turned_row + row, turned_row, x, row * columns + column, columns)  # type: ignore[call-arg]
    for row in range(whole, rows):
        for column in range(columns):
            turned[column * turned_row + row] = x[row * columns + column]


@_compiled
def _zero(x: Float32, begin: int, end: int) -> None:
    for n in range(begin, end):  # NumPy's own way, x[begin:end] = 0, takes Numba seconds to compile
        x[n] = 0.0


@_compiled
def _tanh(x: np.float32) -> np.float32:
    """The rational approximation of Eigen and XLA, a few units in the last place; what is no number stays
    none.
    """
    x = np.float32(7.90531110763549805) if x > np.float32(7.90531110763549805) else x
    x = np.float32(-7.90531110763549805) if x < np.float32(-7.90531110763549805) else x
    y = x * x
    over = np.float32(-2.76076847742355e-16)
    over = over * y + np.float32(2.00018790482477e-13)
    over = over * y + np.float32(-8.60467152213735e-11)
    over = over * y + np.float32(5.12229709037114e-08)
    over = over * y + np.float32(1.48572235717979e-05)
    over = over * y + np.float32(6.37261928875436e-04)
    over = over * y + np.float32(4.89352455891786e-03)
    under = np.float32(1.19825839466702e-06)
    under = under * y + np.float32(1.18534705686654e-04)
    under = under * y + np.float32(2.26843463243900e-03)
    under = under * y + np.float32(4.89352518554385e-03)
    return x * over / under


@_compiled
def _log(x: np.float32) -> np.float32:
    """As 2 atanh((m - 1) / (m + 1)) + e log 2, x = m * 2^e, m between the roots of a half and of two; what is
    no number stays none.
    """
    bits = np.float32(x).view(np.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    m = np.int32(bits - (exponent << np.int32(23))).view(np.float32)
    s = (m - np.float32(1.0)) / (m + np.float32(1.0))
    y = s * s
    series = np.float32(2 / 9)
    series = series * y + np.float32(2 / 7)
    series = series * y + np.float32(2 / 5)
    series = series * y + np.float32(2 / 3)
    series = series * y + np.float32(2.0)
    return s * series + np.float32(exponent) * np.float32(math.log(2.0)) + (x - x)


# Loops from zero over few arrays: what LLVM turns into vector code.


@_compiled
def _all_sigmoid(x: Float32) -> None:
    half = np.float32(0.5)
    for n in range(len(x)):
        x[n] = half + half * _tanh(half * x[n])


@_compiled
def _all_tanh(x: Float32) -> None:
    for n in range(len(x)):
        x[n] = _tanh(x[n])


@_compiled
def _next_cell(i: Float32, f: Float32, g: Float32, before: Float32, cell: Float32) -> None:
    for n in range(len(cell)):
        cell[n] = f[n] * before[n] + i[n] * g[n]


@_compiled
def _next_state(o: Float32, cell: Float32, tanh_cell: Float32, state: Float32) -> None:
    for n in range(len(cell)):
        tanh_cell[n] = _tanh(cell[n])
    for n in range(len(state)):
        state[n] = o[n] * tanh_cell[n]


@_compiled
def _back_state(
    o: Float32, tanh_cell: Float32, from_later: Float32, from_above: Float32, d_cell: Float32
) -> None:
    """Through state = o * tanh(cell): `o` becomes the gradient of its pre-activation, `d_cell` grows by the
    cell's.
    """
    one = np.float32(1.0)
    for n in range(len(o)):
        d_state, gate, t = from_later[n] + from_above[n], o[n], tanh_cell[n]
        d_cell[n] += d_state * gate * (one - t * t)
        o[n] = d_state * t * gate * (one - gate)


@_compiled
def _back_cell(i: Float32, f: Float32, g: Float32, before: Float32, d_cell: Float32) -> None:
    """Through cell = f * before + i * g: gates become gradients of their pre-activations, `d_cell` that of
    `before`.
    """
    one = np.float32(1.0)
    for n in range(len(i)):
        gate, new = i[n], g[n]
        i[n] = d_cell[n] * new * gate * (one - gate)
        g[n] = d_cell[n] * gate * (one - new * new)
    for n in range(len(f)):
        gate, d = f[n], d_cell[n]
        f[n] = d * before[n] * gate * (one - gate)
        d_cell[n] = d * gate


@_compiled
def _student_t(shape: _Shape, location: Float32, log_scale: Float32, df: Float32, target: Float32) -> None:
    """The loss of `program`: raw outputs become its gradient with respect to them, `target` the loss.

    G(a + 1/2) / G(a), a = df / 2, is taken at a + 3 by its asymptotic series in w = a + 3 - 1/4 (Tricomi and
    Erdelyi 1951; in logs log(w) / 2 + 1 / 64w^2 - 5 / 2048w^4 + 61 / 49152w^6) and brought down by G(x + 1) =
    x G(x).
    """
    half, one, two = np.float32(0.5), np.float32(1.0), np.float32(2.0)
    df_offset, min_df, unbent = (
        np.float32(shape.df_offset),
        np.float32(shape.min_df),
        np.float32(shape.log_scale_offset),
    )
    narrowest = np.float32(math.exp(-shape.log_scale_offset))
    for n in range(len(target)):
        mean, bend, raw = _tanh(location[n]), _tanh(half * log_scale[n]), df[n] + df_offset
        # Sigmoid of |raw|: softplus(raw) is max(raw, 0) - log(likely)
        likely = half + half * _tanh(half * abs(raw))
        nu = min_df + max(raw, np.float32(0.0)) - _log(likely)
        narrow = _tanh(bend)
        inverse_scale = (one - narrow) / (one + narrow) * narrowest  # exp(-2 bend) without exp
        score = (target[n] - mean) * inverse_scale
        square = score * score
        a, w = half * nu, half * nu + np.float32(2.75)
        v = one / (w * w)
        fall = a * (a + one) * (a + two) / ((a + half) * (a + np.float32(1.5)) * (a + np.float32(2.5)))
        series = v * (np.float32(1 / 64) - v * (np.float32(5 / 2048) - v * np.float32(61 / 49152)))
        tail = _log(one + square / nu)
        target[n] = (
            half * _log(np.float32(math.pi) * nu / (w * fall * fall)) - series + half * (nu + one) * tail
        )
        target[n] += two * bend + unbent
        growth = one / w - v / w * (
            np.float32(1 / 16) - v * (np.float32(5 / 256) - v * np.float32(61 / 4096))
        )
        growth += (
            one / (a * (a + half))
            + one / ((a + one) * (a + np.float32(1.5)))
            + one / ((a + two) * (a + np.float32(2.5)))
        )
        in_score = (nu + one) * score / (nu + square)
        location[n] = -in_score * inverse_scale * (one - mean * mean)
        log_scale[n] = (one - in_score * score) * (one - bend * bend)
        slope = likely if raw > np.float32(0.0) else one - likely
        df[n] = half * (one / nu - half * growth + tail - in_score * score / nu) * slope


@_compiled
def _squared_error(output: Float32, target: Float32) -> None:
    """As `_student_t`."""
    for n in range(len(target)):
        error = output[n] - target[n]
        output[n], target[n] = np.float32(2.0) * error, error * error


@_compiled
def _place(placed: Float32, values: Float32, position: int, factor: float) -> None:
    """`values` (windows, positions, steps ahead) at a position, times `factor`; zero in columns without a
    window.
    """
    for step in range(placed.shape[0]):
        for window in range(values.shape[0]):
            placed[step, window] = values[window, position, step] * factor
        for column in range(values.shape[0], placed.shape[1]):
            placed[step, column] = 0.0


@_compiled
def _forward(
    shape: _Shape, matrices: NDArray[np.int64], weights: Float32, work: _Work, inputs: Float32
) -> None:
    units, columns = shape.units, work.read.shape[3]
    size, step, read = units * columns, work.read.shape[2] * columns, work.read.reshape(-1)
    for t in range(shape.length):
        for feature in range(inputs.shape[2]):
            for window in range(inputs.shape[0]):
                work.read[0, t, 1 + units + feature, window] = inputs[window, t, feature]
            for column in range(inputs.shape[0], columns):
                work.read[0, t, 1 + units + feature, column] = 0.0
    for layer in range(shape.layers):
        matrix, width, depth = matrices[layer, 0], matrices[layer, 1], matrices[layer, 2]
        for t in range(shape.length):
            now = (layer * (shape.length + 1) + t) * step
            gates, cell = work.gates[layer, t], work.cells[layer, t + 1]
            i, f, g, o = (
                gates[:size],
                gates[size : 2 * size],
                gates[2 * size : 3 * size],
                gates[3 * size : 4 * size],
            )
            _product(
                gates,
                0,
                columns,
                4 * units,
                columns,
                weights,
                matrix,
                1,
                width,
                read,
                now,
                columns,
                depth,
                False,
            )
            _all_sigmoid(gates[: 2 * size])
            _all_tanh(g)
            _all_sigmoid(o)
            _next_cell(i, f, g, work.cells[layer, t], cell)
            state = now + step + columns
            _next_state(o, cell, gates[4 * size :], read[state : state + size])
            if layer + 1 < shape.layers:
                above = now + (shape.length + 1) * step + (1 + units) * columns
                for n in range(size):
                    read[above + n] = read[state + n]


@_compiled
def _head(
    shape: _Shape,
    matrices: NDArray[np.int64],
    state: _State,
    work: _Work,
    targets: Float32,
    shares: Float32,
    norm: float,
    train: bool,
) -> float:
    """Sum of the losses over `norm`; with `train` also the head's gradient, and its states' in the lower rows
    of `back`.
    """
    columns, read, back = work.read.shape[3], work.read.reshape(-1), work.back.reshape(-1)
    matrix, width, depth = matrices[shape.layers, 0], matrices[shape.layers, 1], matrices[shape.layers, 2]
    target, share, answer, outputs = (
        work.target.reshape(-1),
        work.share.reshape(-1),
        work.answer,
        shape.outputs,
    )
    size, total = len(target), 0.0
    for position in range(shape.positions):
        t = shape.length - shape.positions + position
        states = ((shape.layers - 1) * (shape.length + 1) + t + 1) * work.read.shape[2] * columns
        _product(
            answer,
            0,
            columns,
            outputs,
            columns,
            state.weights,
            matrix,
            1,
            width,
            read,
            states,
            columns,
            depth,
            False,
        )
        _place(work.target, targets, position, 1.0)
        _place(work.share, shares, position, 1.0 / norm)
        if shape.student_t:
            _student_t(shape, answer[:size], answer[size : 2 * size], answer[2 * size : 3 * size], target)
        else:
            _squared_error(answer[:size], target)
        for n in range(size):
            total += np.float64(target[n]) * np.float64(share[n])
        if train:
            for n in range(outputs * columns):
                answer[n] *= share[n % size]
            below = (t * work.back.shape[1] + shape.units) * columns
            kernel = matrix + width  # after the bias
            _product(
                back,
                below,
                columns,
                shape.units,
                columns,
                state.weights,
                kernel,
                width,
                1,
                answer,
                0,
                columns,
                outputs,
                False,
            )
            _transpose(work.head_turned, width, answer, outputs, columns)
            _product(
                state.gradient,
                matrix,
                width,
                depth,
                width,
                read,
                states,
                columns,
                1,
                work.head_turned,
                0,
                width,
                columns,
                True,
            )
    return total


@_compiled
def _backward(shape: _Shape, matrices: NDArray[np.int64], state: _State, work: _Work) -> None:
    units, columns, read, back = shape.units, work.read.shape[3], work.read.reshape(-1), work.back.reshape(-1)
    size, step = units * columns, work.back.shape[1] * columns
    for t in range(shape.length - shape.positions):
        _zero(back, t * step + size, t * step + 2 * size)
    for layer in range(shape.layers - 1, -1, -1):
        matrix, width, depth = matrices[layer, 0], matrices[layer, 1], matrices[layer, 2]
        _zero(work.d_cell, 0, size)
        for t in range(shape.length - 1, -1, -1):
            now, gates = t * step, work.gates[layer, t]
            i, f, g, o = (
                gates[:size],
                gates[size : 2 * size],
                gates[2 * size : 3 * size],
                gates[3 * size : 4 * size],
            )
            later, above = back[now + step : now + step + size], back[now + size : now + 2 * size]
            _back_state(o, gates[4 * size :], later, above, work.d_cell)
            _back_cell(i, f, g, work.cells[layer, t], work.d_cell)
            # The lowest layer's input needs no gradient.
            rows, kernels = (2 * units if layer else units, matrix + width)
            _product(
                back,
                now,
                columns,
                rows,
                columns,
                state.weights,
                kernels,
                width,
                1,
                gates,
                0,
                columns,
                4 * units,
                False,
            )
            _transpose(work.turned, width, gates, 4 * units, columns)
            at = (layer * (shape.length + 1) + t) * work.read.shape[2] * columns
            _product(
                state.gradient,
                matrix,
                width,
                depth,
                width,
                read,
                at,
                columns,
                1,
                work.turned,
                0,
                width,
                columns,
                True,
            )


@_compiled
def _norm(x: Float32) -> float:
    sums, total = np.zeros(16, np.float32), 0.0
    for begin in range(0, len(x), 16):
        for lane in range(16):
            sums[lane] += x[begin + lane] * x[begin + lane]
    for lane in range(16):
        total += sums[lane]
    return np.sqrt(total)


@_compiled
def _adam(state: _State, head_end: int, rate: float, clip_norm: float, count: float) -> None:
    weights, gradient, first, second = state.weights, state.gradient, state.first, state.second
    _zero(gradient, head_end, len(gradient))  # rows that fill the head's last tile have met inputs, not zeros
    norm = _norm(gradient)
    # A norm that is no number: the weights show it.
    scale = np.float32(clip_norm / norm if norm > clip_norm else 1.0)
    corrected = np.float32(rate * np.sqrt(1.0 - 0.999**count) / (1.0 - 0.9**count))
    for n in range(len(weights)):
        g = gradient[n] * scale
        first[n] = np.float32(0.9) * first[n] + np.float32(0.1) * g
        second[n] = np.float32(0.999) * second[n] + np.float32(0.001) * g * g
        weights[n] -= corrected * first[n] / (np.sqrt(second[n]) + np.float32(1e-7))


@_compiled
def _known(shares: Float32) -> float:
    total = 0.0
    for window in range(shares.shape[0]):
        for position in range(shares.shape[1]):
            for step in range(shares.shape[2]):
                total += shares[window, position, step]
    return max(total, 1.0)


@_compiled
def _epoch(
    shape: _Shape, matrices: NDArray[np.int64], state: _State, work: _Work, inputs: Float32, targets: Float32,
    shares: Float32,
    train: bool, rate: float, clip_norm: float, steps_before: int,
) -> float:  # fmt: skip
    """Mean of the batches' mean losses; with `train` a step of the optimiser after each."""
    columns, head_end, total = work.read.shape[3], matrices[-1, 0] + matrices[-1, 1] * matrices[-1, 2], 0.0
    for step in range(len(inputs)):
        _zero(state.gradient, 0, len(state.gradient))
        norm = _known(shares[step])
        for begin in range(0, inputs.shape[1], columns):
            part = slice(begin, begin + columns)
            _forward(shape, matrices, state.weights, work, inputs[step, part])
            total += _head(shape, matrices, state, work, targets[step, part], shares[step, part], norm, train)
            if train:
                _backward(shape, matrices, state, work)
        if train:
            _adam(state, head_end, rate, clip_norm, steps_before + step + 1.0)
    return total / len(inputs)


@_compiled
def _all_gates(gates: Float32, scale: Float32, shift: Float32) -> None:
    for row in range(gates.shape[0]):
        for n in range(gates.shape[1]):
            gates[row, n] = shift[n] + scale[n] * _tanh(scale[n] * gates[row, n])


@_compiled
def _next_cells(gates: Float32, cells: Float32, tanh_cells: Float32) -> None:
    units = cells.shape[1]
    for row in range(len(cells)):
        for n in range(units):
            # In the order of `_next_cell`, in which the second product is the one that is rounded.
            kept = gates[row, units + n] * cells[row, n]
            cells[row, n] = kept + gates[row, n] * gates[row, 2 * units + n]
            tanh_cells[row, n] = cells[row, n]
    _all_tanh(tanh_cells.reshape(-1))


@_compiled
def _next_states(gates: Float32, tanh_cells: Float32, states: Float32, read: Float32) -> None:
    units = states.shape[1]
    for row in range(len(states)):
        for n in range(units):
            states[row, n] = gates[row, 3 * units + n] * tanh_cells[row, n]
            read[row, 1 + n] = states[row, n]


@_compiled
def _gates(c: Float32, a: Float32, b: Float32, rows: int, width: int, depth: int) -> None:
    whole = width - width % _WIDE
    for at in range(0, width, _WIDE):
        for row in range(0, rows, _WINDOWS):
            place, factors = row * width + at, row * depth
            if at < whole:
                _answer_tile(c, place, width, a, factors, depth, 1, b, at, width, depth, False)
            else:
                _narrow_answer_tile(c, place, width, a, factors, depth, 1, b, at, width, depth, False)


@_compiled
def _lone_gates(c: Float32, a: Float32, b: Float32, width: int, depth: int) -> None:
    whole = width - width % _WIDEST
    for at in range(0, whole, _WIDEST):
        _lone_tile(c, at, width, a, 0, depth, 1, b, at, width, depth, False)
    for at in range(whole, width, _TILE_COLUMNS):
        _narrow_lone_tile(c, at, width, a, 0, depth, 1, b, at, width, depth, False)


@_compiled
def _answer(x: Float32, weights: Float32, states: Float32) -> None:
    """A layer's states, by the sums of `_forward` turned round: a row is a window's [1; h; x], a column a
    gate, so that a few windows fill the processor's vectors too.

    Args:
        x: (time, windows, inputs).
        weights: [bias; recurrent_kernel; kernel], its rows filled up to whole tiles.
        states: (time, windows, units), to be filled.
    """
    (depth, width), (time, windows, inputs), units = weights.shape, x.shape, states.shape[2]
    rows = 1 if windows == 1 else windows + -windows % _WINDOWS
    read, gates = np.zeros((rows, depth), np.float32), np.zeros((rows, width), np.float32)
    cells, tanh_cells = np.zeros((rows, units), np.float32), np.zeros((rows, units), np.float32)
    scale, shift = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for n in range(width):  # sigmoid(x) = 1/2 + tanh(x / 2) / 2; of tanh(x) alone the sign of zero stays
        scale[n], shift[n] = (1.0, -0.0) if 2 * units <= n < 3 * units else (0.5, 0.5)
    for row in range(rows):
        read[row, 0] = 1.0
    c, a, b = gates.reshape(-1), read.reshape(-1), weights.reshape(-1)
    for t in range(time):
        for row in range(windows):
            for n in range(inputs):
                read[row, 1 + units + n] = x[t, row, n]
        if rows == 1:
            _lone_gates(c, a, b, width, depth)
        else:
            _gates(c, a, b, rows, width, depth)
        _all_gates(gates, scale, shift)
        _next_cells(gates, cells, tanh_cells)
        _next_states(gates, tanh_cells, states[t], read)


def layer_states(x: Float32, kernel: Float32, recurrent: Float32, bias: Float32) -> Float32:
    """(time, windows, units): the states of an LSTM layer of which x (time, windows, inputs) is the input.

    A window's are the same to the bit whichever others stand beside it.
    """
    (time, windows, inputs), units = x.shape, len(recurrent)
    weights = _aligned(1 + units + inputs, _up(4 * units, _TILE_COLUMNS))
    np.concatenate((bias[None], recurrent, kernel), out=weights[:, : 4 * units])
    states = np.empty((time, windows, units), np.float32)
    _answer(np.ascontiguousarray(x, np.float32), weights, states)
    return states


def supports(network: Network) -> bool:
    """Whether the kernel can train this network."""
    return network.variant in ("lstm", "stacked") and not network.dropout


class Kernel:
    """One network in training: its weights and its optimiser's state; the workspace is its thread's.

    Args:
        start: the weights to begin at.
        loss: "student_t" or "mse", as in `engine`.
        clip_norm: largest global norm of the gradient; None does not clip.
    """

    def __init__(
        self, network: Network, framing: Framing, start: Weights, *, loss: str, clip_norm: float | None
    ) -> None:
        self._network, self._framing = network, framing
        student_t = loss == "student_t"
        self._steps_ahead = network.outputs // (OUTPUTS_PER_STEP if student_t else 1)
        sizes = network.layers, network.units, framing.length, framing.positions, network.outputs
        self._shape = _Shape(*sizes, student_t, MIN_DF, DF_OFFSET, LOG_SCALE_OFFSET)
        self._matrices = _places(network)
        self._clip_norm, self._steps = math.inf if clip_norm is None else clip_norm, 0
        begin, width, depth = self._matrices[-1]
        size = _up(begin + width * (depth + 2 * _TILE_ROWS), 16)
        self._state = _State(*_aligned(len(_State._fields), size))
        for name, part in self._parts(self._state.weights):
            part[...] = start[name]

    def epoch(self, rate: float, batches: Batches) -> float:
        """Take the optimiser's steps; the mean of their losses."""
        loss = self._run(batches, True, rate)
        self._steps += len(batches.inputs)
        return loss

    def evaluate(self, batches: Batches) -> float:
        """The mean loss of the batches, nothing learned."""
        return self._run(batches, False, 0.0)

    def weights(self) -> Weights:
        """A copy of the weights, by name."""
        return {name: part.copy() for name, part in self._parts(self._state.weights)}

    def gradients(self) -> Weights:
        """A copy of the last step's gradients, before clipping, by name."""
        return {name: part.copy() for name, part in self._parts(self._state.gradient)}

    def _run(self, batches: Batches, train: bool, rate: float) -> float:
        arrays = self._checked(batches)
        work = self._workspace(batches.inputs.shape[1])
        return float(
            _epoch(
                self._shape,
                self._matrices,
                self._state,
                work,
                *arrays,
                train,
                float(rate),
                self._clip_norm,
                self._steps,
            )
        )

    def _parts(self, flat: Float32) -> list[tuple[str, Float32]]:
        # The network's weights by name, as views into the matrices.
        return [
            (name, np.ndarray(shape, np.float32, flat, begin, strides))
            for name, shape, begin, strides in _parts_of(self._network)
        ]

    def _workspace(self, batch: int) -> _Work:
        columns = _columns_for(-(-batch // -(-batch // _MOST_COLUMNS)))
        return _workspace_of(threading.get_ident(), self._shape, self._network.inputs, columns)

    def _checked(self, batches: Batches) -> tuple[Float32, Float32, Float32]:
        # Compiled code does not look where it reads.
        arrays = tuple(
            np.ascontiguousarray(array, np.float32)
            for array in (batches.inputs, batches.targets, batches.weights)
        )
        steps, batch = arrays[0].shape[:2]
        ahead = (steps, batch, self._framing.positions, self._steps_ahead)
        expected = [(steps, batch, self._framing.length, self._network.inputs), ahead, ahead]
        if [array.shape for array in arrays] != expected or not steps * batch:
            raise ValueError(
                f"batches of shapes {[array.shape for array in arrays]}, expected {expected}, of one step and"
                " window or more"
            )
        return arrays[0], arrays[1], arrays[2]


@functools.lru_cache(maxsize=8)
def _workspace_of(thread: int, shape: _Shape, inputs: int, columns: int) -> _Work:
    """The one that a thread's networks of a shape use in turn: new memory for each would take a tenth of a
    fine-tune. No pass reads what another left, but for the zeros that all leave as they are.
    """
    layers, units, length = shape.layers, shape.units, shape.length
    steps_ahead = shape.outputs // (OUTPUTS_PER_STEP if shape.student_t else 1)
    work = _Work(
        read=_aligned(
            layers, length + 1, _up(1 + units + max(units * (layers > 1), inputs), _TILE_ROWS), columns
        ),
        gates=_aligned(layers, length, _up(5 * units, _TILE_ROWS) * columns),
        cells=_aligned(layers, length + 1, units * columns),
        back=_aligned(length + 1, max(units + _up(units, _TILE_ROWS), _up(2 * units, _TILE_ROWS)), columns),
        d_cell=_aligned(units * columns),
        turned=_aligned(columns * _up(4 * units, _TILE_COLUMNS)),
        head_turned=_aligned(columns * _up(shape.outputs, _TILE_COLUMNS)),
        answer=_aligned(_up(shape.outputs, _TILE_ROWS) * columns),
        target=_aligned(steps_ahead, columns),
        share=_aligned(steps_ahead, columns),
    )
    work.read[:, :, 0] = 1.0
    return work


def _columns_for(windows: int) -> int:
    return _HALF_COLUMNS if windows <= _HALF_COLUMNS else _up(windows, _TILE_COLUMNS)


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _aligned(*shape: int) -> Float32:
    # Zeros that begin with a cache line: a vector that lies across two of them is read twice.
    count = math.prod(shape)
    memory = np.zeros(count + 16, np.float32)
    begin = -memory.ctypes.data // 4 % 16
    return memory[begin : begin + count].reshape(shape)


@functools.lru_cache(maxsize=8)
def _places(network: Network) -> NDArray[np.int64]:
    """(layers + 1, 3): where each layer's matrix, then the head's, begins in flat weights, floats a row, rows
    in use.
    """
    places, begin, inputs = [], 0, network.inputs
    width = _up(4 * network.units, _TILE_COLUMNS)
    for _ in range(network.layers):
        depth = 1 + network.units + inputs
        places.append((begin, width, depth))
        begin, inputs = begin + _up(depth, _TILE_ROWS) * width, network.units
    places.append((begin, _up(network.outputs, _TILE_COLUMNS), 1 + network.units))
    return np.array(places, np.int64)


@functools.lru_cache(maxsize=8)
def _parts_of(network: Network) -> list[tuple[str, tuple[int, ...], int, tuple[int, ...]]]:
    """Each weight's name and shape, where it begins in flat weights, and its strides, both in bytes."""
    parts = []
    for spec in weight_specs(network):
        layer, name = spec.name.split("/")
        head = layer == "head"
        begin, width, _ = _places(network)[-1 if head else int(layer.removeprefix("rnn"))].tolist()
        row = {"bias": 0, "recurrent_kernel": 1, "kernel": 1 if head else 1 + network.units}[name]
        strides = (4 * width, 4)[-len(spec.shape) :]
        parts.append((spec.name, spec.shape, 4 * (begin + row * width), strides))
    return parts
