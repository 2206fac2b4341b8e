// Numbers: base64 to typed arrays, half floats, quantised latents, draws, nearest neighbours. No page is needed here.

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const floatsOf = (base64) => new Float32Array(bytesOf(base64).buffer);
const shortsOf = (base64) => new Int16Array(bytesOf(base64).buffer);

let halfTable = null;

function halvesOf(base64) {
  if (!halfTable) {
    halfTable = new Float32Array(65536);
    for (let h = 0; h < 65536; h++) {
      const exponent = (h >> 10) & 31;
      const size = exponent ? (1 + (h & 1023) / 1024) * 2 ** (exponent - 15) : (h & 1023) * 2 ** -24;
      halfTable[h] = h & 32768 ? -size : size;
    }
  }
  const halves = new Uint16Array(bytesOf(base64).buffer);
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) floats[i] = halfTable[halves[i]];
  return floats;
}

// Cloud number i of a run of base64: its own piece, so that none but it is decoded. Every cloud has a multiple of
// three points, so that its 4 bytes a point fill whole groups of base64.
function cloudOf(base64, frames, points, i) {
  const length = (points * 16) / 3;
  const words = new Uint32Array(bytesOf(base64.substr(i * length, length)).buffer);
  const radius = frames[4 * i + 3];
  const out = new Float32Array(3 * points);
  for (let k = 0; k < points; k++) {
    for (let axis = 0; axis < 3; axis++) {
      const step = (words[k] >>> (10 * axis)) & 1023;
      out[3 * k + axis] = frames[4 * i + axis] + radius * (step / 511.5 - 1);
    }
  }
  return out;
}

function latentsOf(base64, scale, dims) {
  const steps = shortsOf(base64);
  const out = new Float32Array(steps.length);
  for (let i = 0, d = 0; i < steps.length; i++, d = d + 1 === dims ? 0 : d + 1) {
    out[i] = steps[i] * scale[d] + scale[dims + d];
  }
  return out;
}

// The k nearest of the allowed rows to a point: [{row, distance}], nearest first; ties by row.
function nearest(latents, dims, z, k, metric, allowed) {
  const rows = latents.length / dims;
  const found = [];
  let length = 0;
  for (let d = 0; d < dims; d++) length += z[d] * z[d];
  length = Math.sqrt(length) || 1;
  for (let row = 0, at = 0; row < rows; row++, at += dims) {
    if (allowed && !allowed(row)) continue;
    let sum = 0;
    let own = 0;
    if (metric === "cosine") {
      for (let d = 0; d < dims; d++) {
        const value = latents[at + d];
        sum += value * z[d];
        own += value * value;
      }
      sum = 1 - sum / (length * (Math.sqrt(own) || 1));
    } else {
      for (let d = 0; d < dims; d++) {
        const gap = latents[at + d] - z[d];
        sum += gap * gap;
      }
    }
    if (found.length === k && sum >= found[k - 1].distance) continue;
    let place = found.length;
    while (place > 0 && found[place - 1].distance > sum) place--;
    found.splice(place, 0, { row, distance: sum });
    if (found.length > k) found.pop();
  }
  if (metric !== "cosine") for (const one of found) one.distance = Math.sqrt(one.distance);
  return found;
}

// Draws from N(0, I) that follow a seed.
function normals(seed, count) {
  let state = (seed * 2654435761 + 1013904223) >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return out;
}

const mix = (a, b, share) => a.map((value, d) => value + share * (b[d] - value));

// The ball around the middle of a cloud's box.
function ballOf(points) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < points.length; i++) {
    low[i % 3] = Math.min(low[i % 3], points[i]);
    high[i % 3] = Math.max(high[i % 3], points[i]);
  }
  const centre = low.map((value, axis) => (value + high[axis]) / 2);
  let radius = 0;
  for (let i = 0; i < points.length; i += 3) {
    radius = Math.max(radius, Math.hypot(points[i] - centre[0], points[i + 1] - centre[1], points[i + 2] - centre[2]));
  }
  return [...centre, Math.max(radius, 1e-9)];
}
