"""Videos, cameras and streams: frames in, annotated videos out. Needs the extra ``[video]``, PyAV."""
