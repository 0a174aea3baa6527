// onnxruntime-node: node node.js BUNDLE ROWS.json SCORES.json BLOCK
const fs = require("fs");
const ort = require("onnxruntime-node");

// The slow baseline of one machine, as the bundle's metadata describes it.
function follow(spec) {
  const value = spec.spread.map(() => 0), persistence = spec.spread.map(() => 0);
  let since = [];
  const clip = (x, most) => Math.max(-most, Math.min(most, x));
  const sum = (of) => since.reduce((total, row) => total + of(row), 0);
  const bound = (spread, i) => Math.abs(persistence[i]) > spec.doubtful ? spec.bound * spread : 3.4028234663852886e38;
  function advance(spread, i) {
    const away = (row) => row[i] - value[i], near = spec.near * spread;
    const fast = Math.abs(persistence[i]) > spec.persistent;
    const moved = sum((row) => fast ? spec.gain * clip(away(row), spec.far * spread) : clip(away(row), near));
    const beyond = sum((row) => (away(row) > near) - (away(row) < -near));
    value[i] += moved / spec.horizon;
    persistence[i] += (beyond - spec.rows * persistence[i]) / spec.horizon;
  }
  return {
    room: () => spec.rows - since.length,
    inputs: () => ({ baseline: value, bound: spec.spread.map(bound) }),
    add(residuals) {
      for (let k = 0; k < residuals.length; k += value.length) since.push(residuals.slice(k, k + value.length));
      if (since.length < spec.rows) return;
      spec.spread.forEach(advance);
      since = [];
    },
  };
}

async function main([bundle, rows, output, block]) {
  const session = await ort.InferenceSession.create(bundle);
  const { readings, seconds, state_shape, baseline } = JSON.parse(fs.readFileSync(rows));
  const tensor = (values, shape) => new ort.Tensor("float32", Float32Array.from(values.flat()), shape);
  let state = state_shape && tensor(new Array(state_shape.reduce((a, b) => a * b)).fill(0), state_shape);
  const slow = baseline && follow(baseline);
  const scores = [];
  while (scores.length < readings.length) {
    const i = scores.length;
    const part = readings.slice(i, i + Math.min(Number(block), slow ? slow.room() : readings.length));
    const feed = { readings: tensor(part, [part.length, part[0].length]) };
    if (state) feed.state = state;
    if (seconds) feed.time_of_day = tensor(seconds.slice(i, i + part.length), [part.length]);
    if (slow) for (const [name, row] of Object.entries(slow.inputs())) feed[name] = tensor(row, [1, row.length]);
    const found = await session.run(feed);
    scores.push(...found.score.data);
    state = found.state_out;
    if (slow) slow.add(found.residuals.data);
  }
  fs.writeFileSync(output, JSON.stringify(scores));
}

main(process.argv.slice(2));
