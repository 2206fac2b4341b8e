// Clouds in space: two views that turn together, and small still drawings.

const START = (-55 * Math.PI) / 180;
const LIFT = (22 * Math.PI) / 180;
const AWAY = 4.2;

// Where points of a ball stand on the paper, and how near: x right, y up, all about within -1 to 1.
function camera(azimuth, elevation) {
  const [sa, ca, se, ce] = [Math.sin(azimuth), Math.cos(azimuth), Math.sin(elevation), Math.cos(elevation)];
  return (x, y, z, out) => {
    const depth = x * ca * ce + y * sa * ce + z * se;
    const scale = AWAY / (AWAY - depth);
    out[0] = (y * ca - x * sa) * scale;
    out[1] = (z * ce - x * ca * se - y * sa * se) * scale;
    out[2] = depth;
    out[3] = scale;
  };
}

class CloudView {
  constructor(canvas, colourName) {
    this.canvas = canvas;
    this.dots = new Dots(canvas);
    this.colourName = colourName;
    this.points = null;
    this.count = 0;
  }

  // Show the first `count` points of a cloud within its ball; none where there is no cloud.
  set(points, ball, count = points ? points.length / 3 : 0, colourName = this.colourName) {
    this.points = points;
    this.ball = ball;
    this.count = count;
    this.colourName = colourName;
    this.order = null;
  }

  draw(azimuth, elevation) {
    const { points, count, dots } = this;
    const { width, height } = dots.fit();
    dots.room(2 * count);
    const [cx, cy, cz, radius] = this.ball || [0, 0, 0, 1];
    const see = camera(azimuth, elevation);
    const colour = theme[this.colourName];
    const half = 0.43 * Math.min(width, height);
    const size = Math.min(9, Math.max(1.1, (0.62 * half) / Math.sqrt(count || 1)));
    const at = [0, 0, 0, 0];
    let floor = Infinity;
    for (let i = 0; i < count; i++) floor = Math.min(floor, points[3 * i + 2]);
    const seen = new Float32Array(4 * count);
    for (let i = 0; i < count; i++) {
      const [x, y, z] = [(points[3 * i] - cx) / radius, (points[3 * i + 1] - cy) / radius, (points[3 * i + 2] - cz) / radius];
      see(x, y, z, at);
      seen.set(at, 4 * i);
      see(x, y, (floor - cz) / radius - 0.03, at);
      this.put(i, width / 2 + half * at[0], height / 2 - half * at[1], 3.2 * size, SOFT, theme.shadow, theme.shadowAlpha);
    }
    if (!this.order || this.order.length !== count) this.order = Uint32Array.from({ length: count }, (_, i) => i);
    this.order.sort((a, b) => seen[4 * a + 2] - seen[4 * b + 2]);
    for (let k = 0; k < count; k++) {
      const i = 4 * this.order[k];
      const fog = 0.5 * Math.min(1, Math.max(0, 0.5 - 0.5 * seen[i + 2])); // the far half fades into the page
      const mist = Math.round(12 * fog) / 12;
      const tint = colour.map((value, axis) => value + mist * (theme.card[axis] - value));
      this.put(count + k, width / 2 + half * seen[i], height / 2 - half * seen[i + 1], size * seen[i + 3], BALL, tint, 255);
    }
    dots.draw(2 * count);
  }

  put(i, x, y, radius, kind, colour, alpha) {
    const { dots } = this;
    dots.dots[4 * i] = x;
    dots.dots[4 * i + 1] = y;
    dots.dots[4 * i + 2] = radius;
    dots.dots[4 * i + 3] = kind;
    dots.colours[4 * i] = colour[0];
    dots.colours[4 * i + 1] = colour[1];
    dots.colours[4 * i + 2] = colour[2];
    dots.colours[4 * i + 3] = alpha;
  }
}

// Draw a cloud small, once: far points faint, near ones strong.
function sketch(context, points, ball, size, colour, most = 200) {
  const see = camera(START, LIFT);
  const [cx, cy, cz, radius] = ball;
  const layers = [new Path2D(), new Path2D(), new Path2D()];
  const count = Math.min(most, points.length / 3);
  const dot = Math.max(0.75, (0.56 * size) / 2 / Math.sqrt(count + 8));
  const at = [0, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    see((points[3 * i] - cx) / radius, (points[3 * i + 1] - cy) / radius, (points[3 * i + 2] - cz) / radius, at);
    const x = size / 2 + 0.44 * size * at[0];
    const y = size / 2 - 0.44 * size * at[1];
    const layer = layers[at[2] < -0.3 ? 0 : at[2] < 0.3 ? 1 : 2];
    layer.moveTo(x + dot, y);
    layer.arc(x, y, dot, 0, 7);
  }
  context.fillStyle = colour;
  layers.forEach((layer, number) => {
    context.globalAlpha = [0.4, 0.7, 1][number];
    context.fill(layer);
  });
  context.globalAlpha = 1;
}

// A canvas with a still drawing.
function picture(points, ball, size, colour) {
  const canvas = document.createElement("canvas");
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = canvas.height = size * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  sketch(context, points, ball, size, colour);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

// Turns both views by themselves, or by hand; asks for a frame only while something moves.
class Turntable {
  constructor(views, button, still) {
    this.views = views;
    this.button = button;
    this.azimuth = START;
    this.elevation = LIFT;
    this.turning = !still;
    this.asked = 0;
    this.held = false;
    button.addEventListener("click", () => this.setTurning(!this.turning));
    this.setTurning(this.turning);
    for (const view of views) this.listen(view.canvas);
    document.addEventListener("visibilitychange", () => this.ask());
  }

  // Something changed: draw at the next frame.
  ask() {
    if (this.asked || document.hidden) return;
    this.asked = requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    const passed = Math.min(50, now - (this.before ?? now));
    this.asked = 0;
    const moves = this.turning && !this.held && this.views.some((view) => view.count);
    if (moves) this.azimuth += (passed / 1000) * 0.35;
    for (const view of this.views) view.draw(this.azimuth, this.elevation);
    this.before = moves ? now : undefined;
    if (moves) this.ask();
  }

  setTurning(on) {
    this.turning = on;
    this.button.textContent = on ? "Stop turning" : "Turn";
    this.ask();
  }

  listen(canvas) {
    canvas.addEventListener("pointerdown", (event) => {
      this.held = true;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.held) return;
      this.azimuth -= event.movementX * 0.011;
      this.elevation = Math.min(1.5, Math.max(-1.2, this.elevation + event.movementY * 0.008));
      this.ask();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => {
        this.held = false;
        this.ask();
      });
    }
  }
}
