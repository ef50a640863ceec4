// The points of the map as one deck.gl layer of plain GL points.
//
// deck.gl's own ScatterplotLayer draws two triangles a point through a general projection; that is fine on a graphics
// card and four times too slow in a software renderer. A map is flat and its points are small, so one vertex a
// point and one matrix will do.
//
// Without a graphics card every point costs a microsecond or two. A moving map then shows a sample (pace.ts), and a map
// at rest is drawn chunk by chunk, a chunk a frame, into a picture that is kept: it can be interrupted at once, and
// rings and lines over it cost nothing more.

import { Layer, type LayerProps } from "@deck.gl/core";
import { Buffer, Texture, type Device, type Framebuffer, type RenderPass } from "@luma.gl/core";
import { Model } from "@luma.gl/engine";

const CHUNK = 32_768;

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

// One triangle that covers the canvas, each pixel taken from the same pixel of the kept picture. Blending has multiplied
// its colours by their opacity; deck.gl's pass blends for colours that are not, whatever a model asks for.
const pictureVertexShader = `#version 300 es
void main() {
  vec2 corner = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2);
  gl_Position = vec4(2.0 * corner - 1.0, 0.0, 1.0);
}
`;

const pictureFragmentShader = `#version 300 es
precision mediump float;
uniform sampler2D picture;
out vec4 fragColor;
void main() {
  vec4 color = texelFetch(picture, ivec2(gl_FragCoord.xy), 0);
  fragColor = color.a > 0.0 ? vec4(color.rgb / color.a, color.a) : vec4(0.0);
}
`;

const over = { blendColorSrcFactor: "src-alpha", depthWriteEnabled: false, depthCompare: "always", blend: true, blendColorDstFactor: "one-minus-src-alpha", blendAlphaSrcFactor: "one", blendAlphaDstFactor: "one-minus-src-alpha" } as const;

interface Chunk {
  points: Model;
  positions: Buffer;
  colors: Buffer;
  begin: number;
  count: number;
}

/** How the points are seen: column-major matrix from world units to clip space, diameter in device pixels. */
export interface Look {
  worldToClip: number[];
  diameter: number;
}

/** The points on the graphics card, and the picture of them that is kept where there is none. */
export class PointCloud {
  private readonly chunks: Chunk[] = [];
  private picture: { framebuffer: Framebuffer; texture: Texture; width: number; height: number } | null = null;
  private readonly copy: Model;
  private key = "";
  private drawn = 0;
  private generation = 0;

  constructor(private readonly device: Device, id: string, positions: Float32Array, colors: Uint8Array) {
    const n = positions.length / 2;
    for (let begin = 0; begin < Math.max(1, n); begin += CHUNK) {
      const count = Math.min(CHUNK, n - begin);
      const chunk = {
        begin,
        count,
        positions: device.createBuffer({ data: positions.subarray(2 * begin, 2 * (begin + count)) }),
        colors: device.createBuffer({ data: colors.subarray(4 * begin, 4 * (begin + count)) }),
      };
      // Not called `model`: deck.gl would push its picking, lighting and projection uniforms into it.
      const points = new Model(device, {
        id: `${id}-${begin}`,
        vs: vertexShader,
        fs: fragmentShader,
        modules: [uniforms as never],
        topology: "point-list",
        bufferLayout: [
          { name: "position", format: "float32x2" },
          { name: "color", format: "unorm8x4" },
        ],
        attributes: { position: chunk.positions, color: chunk.colors },
        vertexCount: count,
        parameters: over,
      });
      this.chunks.push({ ...chunk, points });
    }
    this.copy = new Model(device, {
      id: `${id}-copy`,
      vs: pictureVertexShader,
      fs: pictureFragmentShader,
      topology: "triangle-list",
      bufferLayout: [],
      vertexCount: 3,
      parameters: over,
    });
  }

  setColors(colors: Uint8Array): void {
    for (const chunk of this.chunks) chunk.colors.write(colors.subarray(4 * chunk.begin, 4 * (chunk.begin + chunk.count)));
    this.generation++;
  }

  /** The first `count` points. */
  draw(pass: RenderPass, look: Look, count: number): void {
    for (const chunk of this.chunks) {
      if (chunk.begin >= count) break;
      this.drawChunk(chunk, pass, look, Math.min(chunk.count, count - chunk.begin));
    }
  }

  /** Adds one chunk to the kept picture, which begins anew where the look or the colours have changed; true if more are left. */
  refine(look: Look): boolean {
    const [width, height] = this.device.getDefaultCanvasContext().getDrawingBufferSize();
    const key = [...look.worldToClip, look.diameter, width, height, this.generation].join();
    if (key !== this.key) {
      this.key = key;
      this.drawn = 0;
    }
    if (this.drawn >= this.chunks.length) return false;
    const { framebuffer } = this.pictureOf(width, height);
    const pass = this.device.beginRenderPass({ framebuffer, clearColor: this.drawn === 0 ? [0, 0, 0, 0] : false, clearDepth: false, clearStencil: false });
    const chunk = this.chunks[this.drawn++];
    this.drawChunk(chunk, pass, look, chunk.count);
    pass.end();
    return this.drawn < this.chunks.length;
  }

  /** Whether the kept picture holds as many points as a moving map shows. */
  hasAtLeast(count: number): boolean {
    return this.drawn === this.chunks.length || this.drawn * CHUNK >= count;
  }

  /** The kept picture, as far as it has come. */
  show(pass: RenderPass): void {
    if (!this.picture) return;
    this.copy.setBindings({ picture: this.picture.texture });
    this.copy.draw(pass);
  }

  destroy(): void {
    for (const { points, positions, colors } of this.chunks) for (const part of [points, positions, colors]) part.destroy();
    this.copy.destroy();
    this.dropPicture();
  }

  private drawChunk({ points }: Chunk, pass: RenderPass, { worldToClip, diameter }: Look, count: number): void {
    points.shaderInputs.setProps({ points: { worldToClip, diameter } });
    points.setVertexCount(count);
    points.draw(pass);
  }

  private pictureOf(width: number, height: number): NonNullable<PointCloud["picture"]> {
    if (this.picture?.width === width && this.picture.height === height) return this.picture;
    this.dropPicture();
    const texture = this.device.createTexture({
      format: "rgba8unorm", width, height, usage: Texture.SAMPLE | Texture.RENDER,
      sampler: { minFilter: "nearest", magFilter: "nearest", mipmapFilter: "none" },
    });
    return (this.picture = { texture, width, height, framebuffer: this.device.createFramebuffer({ width, height, colorAttachments: [texture] }) });
  }

  private dropPicture(): void {
    this.picture?.framebuffer.destroy();
    this.picture?.texture.destroy();
    this.picture = null;
  }
}

export interface PointsLayerProps extends LayerProps {
  /** (x, y) pairs in world units, in drawing order. */
  positions: Float32Array;
  /** RGBA bytes in drawing order; a new array means new colours. */
  colors: Uint8Array;
  /** Diameter in CSS pixels. */
  diameter: number;
  drawCount: number;
  /** Whether to show the kept picture once it holds as many points. */
  kept: boolean;
  /** Another number, and the layer is drawn again. */
  turn: number;
  made(cloud: PointCloud): void;
}

export class PointsLayer extends Layer<PointsLayerProps> {
  static override layerName = "PointsLayer";

  declare state: { cloud: PointCloud };

  override initializeState(): void {
    const { id, positions, colors, made } = this.props;
    const cloud = new PointCloud(this.context.device, id, positions, colors);
    this.setState({ cloud });
    made(cloud);
  }

  override updateState({ props, oldProps }: Parameters<Layer<PointsLayerProps>["updateState"]>[0]): void {
    if (oldProps.colors && props.colors !== oldProps.colors) this.state.cloud.setColors(props.colors);
  }

  override draw(): void {
    const { viewport, device, renderPass } = this.context;
    const { diameter, drawCount, kept } = this.props;
    const { cloud } = this.state;
    if (kept && cloud.hasAtLeast(drawCount)) return cloud.show(renderPass);
    cloud.draw(renderPass, { worldToClip: viewport.viewProjectionMatrix, diameter: diameter * device.getDefaultCanvasContext().cssToDeviceRatio() }, drawCount);
  }

  override finalizeState(): void {
    this.state.cloud.destroy();
  }

  /** No attribute manager: the buffers are written whole, from arrays that are already packed. */
  protected override _getAttributeManager(): null {
    return null;
  }
}
