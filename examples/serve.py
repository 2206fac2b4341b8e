"""Serve embeddings: serve.py NAME.encoder.onnx [PORT]; POST a mesh (/a.stl, .off, .glb …) or an array (/a.npy)."""

import io
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnxruntime
import trimesh

session = onnxruntime.InferenceSession(sys.argv[1])
facts = json.loads(session.get_modelmeta().custom_metadata_map["pointvae"])


class Embed(BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            data, kind = (
                io.BytesIO(self.rfile.read(int(self.headers["Content-Length"]))),
                self.path.rpartition(".")[2],
            )
            shape = np.load(data) if kind == "npy" else trimesh.load_mesh(data, file_type=kind)
            if kind != "npy":  # points drawn by area
                shape = trimesh.sample.sample_surface(shape, facts["points"], seed=0)[0]
            points = shape[:, [0, 2, 1]] * [1, -1, 1] if facts["source_up"] == "y" else shape
            points = points - points.mean(axis=0)  # as `pointvae prepare --normalize sphere`, the default
            points = (points / np.linalg.norm(points, axis=1).max()).astype(np.float32)[None]
            answer = {"embedding": session.run(["posterior_mean"], {"points": points})[0][0].tolist()}
        except Exception as error:  # whatever was sent, the service goes on
            answer = {"error": str(error)}
        self.send_response(400 if "error" in answer else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


ThreadingHTTPServer(("127.0.0.1", int([*sys.argv, "8000"][2])), Embed).serve_forever()
