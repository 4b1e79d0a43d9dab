// The camera: frames as ImageBitmap, and as files small enough to send many in a second.

const MAX_SIDE = 640;
const QUALITY = 0.85;

export class CameraError extends Error {}

const REASONS = {
  NotAllowedError: "The browser was told not to use the camera. Allow it in the address bar, then try again.",
  NotFoundError: "There is no camera here. Choose a file instead.",
  NotReadableError: "Another program uses the camera. Close that, then try again.",
  OverconstrainedError: "There is no camera of this kind here.",
};

export class Camera {
  // hint: what to do where the browser gives no camera
  constructor(video, hint) {
    this.video = video;
    this.hint = hint;
    this.stream = null;
    this.facing = "environment";
    this.canvas = document.createElement("canvas");
  }

  get on() {
    return this.stream !== null;
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new CameraError(`Browsers give the camera to pages of https and of localhost only. ${this.hint}`);
    }
    try {
      const video = { facingMode: this.facing, width: { ideal: 1280 }, height: { ideal: 720 } };
      this.stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      throw new CameraError(REASONS[error.name] ?? `The camera did not start: ${error.message}`);
    }
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  async turn() {
    this.facing = this.facing === "environment" ? "user" : "environment";
    this.stop();
    await this.start();
  }

  // How many cameras there are; browsers tell it once one is in use.
  async count() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "videoinput").length;
  }

  // The frame of now: {bitmap, encode}, or null if there is none yet. `encode` makes a file of it.
  async frame() {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth) return null;
    const scale = Math.min(1, MAX_SIDE / Math.max(videoWidth, videoHeight));
    this.canvas.width = Math.round(videoWidth * scale);
    this.canvas.height = Math.round(videoHeight * scale);
    this.canvas.getContext("2d").drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    const encode = () => new Promise((resolve) => this.canvas.toBlob(resolve, "image/jpeg", QUALITY));
    return { bitmap: await createImageBitmap(this.canvas), encode };
  }
}
