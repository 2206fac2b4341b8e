// Dots on a canvas, in pixels of the page: by WebGL, or where there is none as stamped pictures. A dot is flat,
// a lit ball, or a soft stain for shadows.

const FLAT = 0;
const BALL = 1;
const SOFT = 2;

const VERTEX = `
attribute vec4 dot; attribute vec4 colour; uniform vec2 size; uniform float ratio;
varying vec4 tint; varying float radius; varying float kind;
void main() {
  gl_Position = vec4(dot.x / size.x * 2.0 - 1.0, 1.0 - dot.y / size.y * 2.0, 0.0, 1.0);
  radius = dot.z * ratio; kind = dot.w; tint = colour; gl_PointSize = 2.0 * radius + 2.0;
}`;
const FRAGMENT = `
precision mediump float; varying vec4 tint; varying float radius; varying float kind;
void main() {
  vec2 p = (gl_PointCoord * 2.0 - 1.0) * (radius + 1.0) / radius;
  float away = length(p);
  float alpha = clamp((1.0 - away) * radius + 0.5, 0.0, 1.0);
  vec3 colour = tint.rgb;
  if (kind > 1.5) { alpha = max(0.0, 1.0 - away); alpha *= alpha; }
  else if (kind > 0.5) {
    vec3 normal = vec3(p.x, -p.y, sqrt(max(0.0, 1.0 - away * away)));
    float light = max(0.0, dot(normal, vec3(-0.42, 0.62, 0.66)));
    colour = colour * (0.66 + 0.42 * light) + 0.16 * pow(light, 12.0);
  }
  gl_FragColor = vec4(colour, 1.0) * alpha * tint.a;
}`;

class Dots {
  constructor(canvas) {
    this.canvas = canvas;
    this.stamps = new Map();
    this.room(1024);
    this.gl = canvas.getContext("webgl", { antialias: false });
    if (this.gl) {
      this.prepare();
      canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
      canvas.addEventListener("webglcontextrestored", () => this.prepare());
    } else {
      this.flat = canvas.getContext("2d");
    }
  }

  prepare() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.places = { size: gl.getUniformLocation(program, "size"), ratio: gl.getUniformLocation(program, "ratio") };
    for (const [name, size, type] of [["dot", 4, gl.FLOAT], ["colour", 4, gl.UNSIGNED_BYTE]]) {
      const place = gl.getAttribLocation(program, name);
      this[`${name}Buffer`] = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, this[`${name}Buffer`]);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, type, type === gl.UNSIGNED_BYTE, 0, 0);
    }
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  // Room for so many dots: x, y, radius, kind; and their colours.
  room(count) {
    if (this.dots && this.dots.length >= 4 * count) return;
    this.dots = new Float32Array(4 * count);
    this.colours = new Uint8Array(4 * count);
    this.words = new Uint32Array(this.colours.buffer);
  }

  fit() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    return { width, height, ratio };
  }

  // Draw the first `count` dots, the first ones lowest.
  draw(count) {
    const { width, height, ratio } = this.fit();
    if (!this.canvas.width || !this.canvas.height) return; // hidden, as in a notebook's folded cell
    if (this.gl) this.drawGL(count, width, height, ratio);
    else if (count && this.dots[4 * count - 1] === FLAT) this.paint(count, ratio);
    else this.drawFlat(count, ratio);
  }

  // Flat dots without WebGL, pixel by pixel: ten thousand stamps would take ten times as long.
  paint(count, ratio) {
    const { dots, colours } = this;
    const { width, height } = this.canvas;
    const image = this.flat.createImageData(width, height);
    const pixels = image.data;
    for (let i = 0; i < count; i++) {
      const [x, y, radius] = [dots[4 * i] * ratio, dots[4 * i + 1] * ratio, dots[4 * i + 2] * ratio];
      const reach = Math.ceil(radius);
      for (let v = Math.max(0, Math.floor(y) - reach); v <= Math.min(height - 1, Math.floor(y) + reach); v++) {
        for (let u = Math.max(0, Math.floor(x) - reach); u <= Math.min(width - 1, Math.floor(x) + reach); u++) {
          const away = Math.sqrt((u + 0.5 - x) ** 2 + (v + 0.5 - y) ** 2);
          const cover = (Math.min(1, Math.max(0, radius - away + 0.5)) * colours[4 * i + 3]) / 255;
          if (cover === 0) continue;
          const at = 4 * (v * width + u);
          const below = (pixels[at + 3] / 255) * (1 - cover);
          const all = cover + below;
          for (let c = 0; c < 3; c++) pixels[at + c] = (colours[4 * i + c] * cover + pixels[at + c] * below) / all;
          pixels[at + 3] = 255 * all;
        }
      }
    }
    this.flat.putImageData(image, 0, 0);
  }

  drawGL(count, width, height, ratio) {
    const { gl } = this;
    if (gl.isContextLost()) return;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(this.places.size, width, height);
    gl.uniform1f(this.places.ratio, ratio);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.dotBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, this.dots.subarray(0, 4 * count), gl.DYNAMIC_DRAW);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.colourBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, this.colours.subarray(0, 4 * count), gl.DYNAMIC_DRAW);
    gl.drawArrays(gl.POINTS, 0, count);
  }

  drawFlat(count, ratio) {
    const { flat, dots, colours } = this;
    flat.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (let i = 0; i < count; i++) {
      const [x, y] = [dots[4 * i] * ratio, dots[4 * i + 1] * ratio];
      const radius = Math.max(1, Math.round(dots[4 * i + 2] * ratio * 2)) / 2;
      flat.globalAlpha = colours[4 * i + 3] / 255;
      const stamp = this.stamp(dots[4 * i + 3], radius, this.words[i] & 0xffffff);
      flat.drawImage(stamp, Math.round(2 * x) / 2 - stamp.width / 2, Math.round(2 * y) / 2 - stamp.width / 2);
    }
    flat.globalAlpha = 1;
  }

  stamp(kind, radius, word) {
    const key = `${kind} ${radius} ${word}`;
    let stamp = this.stamps.get(key);
    if (stamp) return stamp;
    if (this.stamps.size > 3000) this.stamps.clear();
    stamp = document.createElement("canvas");
    stamp.width = stamp.height = 2 * Math.ceil(radius + 1);
    const context = stamp.getContext("2d");
    const middle = stamp.width / 2;
    const channels = [word & 255, (word >> 8) & 255, (word >> 16) & 255];
    const lit = (share, shine = 0) => `rgb(${channels.map((v) => Math.min(255, v * share + 255 * shine)).join(" ")})`;
    context.fillStyle = lit(1);
    if (kind === BALL) {
      const shade = context.createRadialGradient(middle - 0.4 * radius, middle - 0.5 * radius, 0, middle, middle, radius);
      shade.addColorStop(0, lit(1.08, 0.12));
      shade.addColorStop(0.5, lit(0.98));
      shade.addColorStop(1, lit(0.68));
      context.fillStyle = shade;
    } else if (kind === SOFT) {
      const shade = context.createRadialGradient(middle, middle, 0, middle, middle, radius);
      shade.addColorStop(0, `rgb(${channels.join(" ")} / 1)`);
      shade.addColorStop(0.5, `rgb(${channels.join(" ")} / .25)`);
      shade.addColorStop(1, `rgb(${channels.join(" ")} / 0)`);
      context.fillStyle = shade;
    }
    context.beginPath();
    context.arc(middle, middle, radius, 0, 7);
    context.fill();
    this.stamps.set(key, stamp);
    return stamp;
  }
}

// "#rrggbb" as [r, g, b].
const channelsOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.trim().slice(at, at + 2), 16));
