// The trained decoder, in the page. Points are independent of each other given the latent, so that a slow decoder
// works in slices: `run` decodes points until its time is up, and the next call goes on.

class Linear {
  constructor(spec) {
    this.columns = spec.in;
    this.rows = spec.out;
    this.weight = halvesOf(spec.weight);
    this.bias = floatsOf(spec.bias);
  }

  // Rows `from` to `to` of W x + b.
  apply(x, out, from = 0, to = this.rows, rectify = false) {
    const { columns, weight, bias } = this;
    for (let row = from; row < to; row++) {
      let at = row * columns;
      let a = 0;
      let b = 0;
      let c = 0;
      let d = 0;
      let k = 0;
      for (; k + 3 < columns; k += 4, at += 4) {
        a += weight[at] * x[k];
        b += weight[at + 1] * x[k + 1];
        c += weight[at + 2] * x[k + 2];
        d += weight[at + 3] * x[k + 3];
      }
      for (; k < columns; k++, at++) a += weight[at] * x[k];
      const sum = a + b + c + d + bias[row];
      out[row] = rectify && sum < 0 ? 0 : sum;
    }
    return out;
  }
}

class MLPDecoder {
  constructor(spec) {
    this.points = spec.points;
    this.layers = spec.layers.map((layer) => new Linear(layer));
  }

  begin(z) {
    let x = z;
    for (const layer of this.layers.slice(0, -1)) x = layer.apply(x, new Float32Array(layer.rows), 0, layer.rows, true);
    const last = this.layers[this.layers.length - 1];
    return (out, from, to) => last.apply(x, out, 3 * from, 3 * to);
  }
}

class FoldingDecoder {
  constructor(spec) {
    this.points = spec.points;
    this.grid = floatsOf(spec.grid);
    this.folds = spec.folds.map((fold) => ({
      latent: new Linear(fold.latent),
      point: new Linear(fold.point),
      layers: fold.layers.map((layer) => new Linear(layer)),
    }));
  }

  begin(z) {
    const shares = this.folds.map((fold) => fold.latent.apply(z, new Float32Array(fold.latent.rows)));
    return (out, from, to) => {
      for (let k = from; k < to; k++) {
        let point = this.grid.subarray(2 * k, 2 * k + 2);
        this.folds.forEach((fold, number) => {
          let x = fold.point.apply(point, new Float32Array(fold.point.rows));
          for (let i = 0; i < x.length; i++) x[i] = Math.max(0, x[i] + shares[number][i]);
          fold.layers.forEach((layer, i) => {
            x = layer.apply(x, new Float32Array(layer.rows), 0, layer.rows, i + 1 < fold.layers.length);
          });
          point = x;
        });
        out.set(point, 3 * k);
      }
    };
  }
}

// Decodes one latent into `out`, from its first point to its last, in slices of time.
class Decoding {
  constructor(decoder, z, out) {
    this.rows = decoder.begin(z);
    this.out = out;
    this.done = 0;
    this.points = decoder.points;
  }

  run(milliseconds = Infinity) {
    const end = performance.now() + milliseconds;
    while (this.done < this.points && performance.now() < end) {
      const to = Math.min(this.done + 8, this.points);
      this.rows(this.out, this.done, to);
      this.done = to;
    }
    return this.done === this.points;
  }
}

const makeDecoder = (spec) => (spec.kind === "mlp" ? new MLPDecoder(spec) : new FoldingDecoder(spec));

function decodeAll(decoder, z) {
  const out = new Float32Array(3 * decoder.points);
  new Decoding(decoder, z, out).run();
  return out;
}
