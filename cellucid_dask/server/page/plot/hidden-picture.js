// A picture that is not on the screen: it is drawn in several frames, and shown when it is complete.

export class HiddenPicture {
  /** @type {WebGLFramebuffer | null} */
  #framebuffer = null;
  /** @type {WebGLRenderbuffer | null} */
  #renderbuffer = null;
  #width = 0;
  #height = 0;

  /** @param {WebGL2RenderingContext} gl */
  constructor(gl) {
    this.gl = gl;
  }

  /**
   * Draws on it from now on.
   *
   * @param {number} width
   * @param {number} height
   */
  bind(width, height) {
    if (this.#width !== width || this.#height !== height) this.#create(width, height);
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, this.#framebuffer);
  }

  /** Copies it to the canvas. */
  show() {
    const { gl } = this;
    const [width, height] = [this.#width, this.#height];
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.#framebuffer);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(
      0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #create(width, height) {
    const { gl } = this;
    const { FRAMEBUFFER: target, RENDERBUFFER: store } = gl;
    gl.deleteRenderbuffer(this.#renderbuffer);
    gl.deleteFramebuffer(this.#framebuffer);
    this.#framebuffer = gl.createFramebuffer();
    this.#renderbuffer = gl.createRenderbuffer();
    gl.bindRenderbuffer(store, this.#renderbuffer);
    gl.renderbufferStorage(store, gl.RGBA8, width, height);
    gl.bindFramebuffer(target, this.#framebuffer);
    gl.framebufferRenderbuffer(target, gl.COLOR_ATTACHMENT0, store, this.#renderbuffer);
    [this.#width, this.#height] = [width, height];
  }
}
