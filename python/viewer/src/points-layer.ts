// The points of the map as one deck.gl layer of plain GL points.
//
// deck.gl's own ScatterplotLayer draws two triangles a point through a general projection; that is fine on a graphics
// card and four times too slow in a software renderer. A map is flat and its points are small, so one vertex a
// point and one matrix will do. The layer can also draw only the first `drawCount` points, which keeps panning smooth
// where there is no graphics card (see pace.ts).

import { Layer, type LayerProps } from "@deck.gl/core";
import { Buffer } from "@luma.gl/core";
import { Model } from "@luma.gl/engine";

export interface PointsLayerProps extends LayerProps {
  /** (x, y) pairs in world units, in drawing order. */
  positions: Float32Array;
  /** RGBA bytes in drawing order; a new array means new colours. */
  colors: Uint8Array;
  /** Diameter in CSS pixels. */
  diameter: number;
  drawCount: number;
}

const uniforms = {
  name: "points",
  vs: `\
layout(std140) uniform pointsUniforms {
  mat4 worldToClip;
  float diameter;
} points;
`,
  uniformTypes: { worldToClip: "mat4x4<f32>", diameter: "f32" },
} as const;

const vertexShader = `#version 300 es
in vec2 position;
in vec4 color;
out vec4 pointColor;
flat out float softEdge;
void main() {
  gl_Position = points.worldToClip * vec4(position, 0.0, 1.0);
  gl_PointSize = points.diameter;
  pointColor = color;
  softEdge = min(0.35, 1.0 / points.diameter);
}
`;

const fragmentShader = `#version 300 es
precision mediump float;
in vec4 pointColor;
flat in float softEdge;
out vec4 fragColor;
void main() {
  float radius = length(gl_PointCoord - 0.5);
  if (radius > 0.5) discard;
  fragColor = vec4(pointColor.rgb, pointColor.a * (1.0 - smoothstep(0.5 - softEdge, 0.5, radius)));
}
`;

export class PointsLayer extends Layer<PointsLayerProps> {
  static override layerName = "PointsLayer";

  declare state: { points: Model; positions: Buffer; colors: Buffer };

  override initializeState(): void {
    const { device } = this.context;
    const { positions, colors } = this.props;
    const positionBuffer = device.createBuffer({ data: positions });
    const colorBuffer = device.createBuffer({ data: colors });
    // Not called `model`: deck.gl would push its picking, lighting and projection uniforms into it.
    const points = new Model(device, {
      id: `${this.props.id}-model`,
      vs: vertexShader,
      fs: fragmentShader,
      modules: [uniforms as never],
      topology: "point-list",
      bufferLayout: [
        { name: "position", format: "float32x2" },
        { name: "color", format: "unorm8x4" },
      ],
      attributes: { position: positionBuffer, color: colorBuffer },
      vertexCount: positions.length / 2,
      parameters: {
        depthWriteEnabled: false,
        depthCompare: "always",
        blend: true,
        blendColorSrcFactor: "src-alpha",
        blendColorDstFactor: "one-minus-src-alpha",
        blendAlphaSrcFactor: "one",
        blendAlphaDstFactor: "one-minus-src-alpha",
      },
    });
    this.setState({ points, positions: positionBuffer, colors: colorBuffer });
  }

  override updateState({ props, oldProps }: Parameters<Layer<PointsLayerProps>["updateState"]>[0]): void {
    if (oldProps.colors && props.colors !== oldProps.colors) this.state.colors.write(props.colors);
  }

  override draw(): void {
    const { points } = this.state;
    const { viewport, device } = this.context;
    const pixelRatio = device.getDefaultCanvasContext().cssToDeviceRatio();
    points.shaderInputs.setProps({
      points: { worldToClip: viewport.viewProjectionMatrix, diameter: this.props.diameter * pixelRatio },
    });
    points.setVertexCount(Math.min(this.props.drawCount, this.props.positions.length / 2));
    points.draw(this.context.renderPass);
  }

  override finalizeState(): void {
    this.state.points.destroy();
    this.state.positions.destroy();
    this.state.colors.destroy();
  }

  /** No attribute manager: both buffers are written whole, from arrays that are already packed. */
  protected override _getAttributeManager(): null {
    return null;
  }
}
