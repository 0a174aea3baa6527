// onnxruntime-node: node node.js BUNDLE ROWS.json SCORES.json BLOCK
const fs = require("fs");
const ort = require("onnxruntime-node");

async function main([bundle, rows, output, block]) {
  const session = await ort.InferenceSession.create(bundle);
  const { readings, seconds, state_shape } = JSON.parse(fs.readFileSync(rows));
  const tensor = (values, shape) => new ort.Tensor("float32", Float32Array.from(values.flat()), shape);
  let state = state_shape && tensor(new Array(state_shape.reduce((a, b) => a * b)).fill(0), state_shape);
  const scores = [];
  for (let i = 0; i < readings.length; i += Number(block)) {
    const part = readings.slice(i, i + Number(block));
    const feed = { readings: tensor(part, [part.length, part[0].length]) };
    if (state) feed.state = state;
    if (seconds) feed.time_of_day = tensor(seconds.slice(i, i + part.length), [part.length]);
    const found = await session.run(feed);
    scores.push(...found.score.data);
    state = found.state_out;
  }
  fs.writeFileSync(output, JSON.stringify(scores));
}

main(process.argv.slice(2));
