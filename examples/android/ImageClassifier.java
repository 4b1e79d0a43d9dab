package org.example.mobilenet;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import android.graphics.Bitmap;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.tensorflow.lite.Interpreter;

/**
 * Classifies bitmaps with a file of {@code mobilenet export imagenet --to litert --whole}.
 *
 * <p>The file takes bytes and gives probabilities, so only the size of the image is left to do here: the shorter side is scaled to
 * 256/224 of the network's side, and the middle is cut out, as the network saw images in its training.
 */
public final class ImageClassifier implements AutoCloseable {
    private static final int SHORTER_SIDE = 256;
    private static final int SIDE = 224;

    private final Interpreter interpreter;
    private final List<String> labels;
    private final ByteBuffer input = ByteBuffer.allocateDirect(SIDE * SIDE * 3).order(ByteOrder.nativeOrder());
    private final int[] pixels = new int[SIDE * SIDE];
    private final float[][] scores;

    /** @param labels one for each class, in the order of {@code labels.txt} */
    public ImageClassifier(Context context, String asset, List<String> labels, int threads) throws IOException {
        Interpreter.Options options = new Interpreter.Options();
        options.setNumThreads(threads);
        this.interpreter = new Interpreter(mapped(context, asset), options);
        this.labels = labels;
        this.scores = new float[1][labels.size()];
    }

    /** The likeliest classes of an upright bitmap, best first, as "71.4 % Egyptian cat". Not for several threads at once. */
    public List<String> classify(Bitmap bitmap, int count) {
        int shorter = Math.min(bitmap.getWidth(), bitmap.getHeight());
        int width = SHORTER_SIDE * bitmap.getWidth() / shorter; // rounded down, as in the training
        int height = SHORTER_SIDE * bitmap.getHeight() / shorter;
        Bitmap scaled = bitmap;
        // Halve first: one bilinear step over a large photo would skip most of its pixels.
        while (scaled.getWidth() >= 2 * width && scaled.getHeight() >= 2 * height) {
            scaled = Bitmap.createScaledBitmap(scaled, scaled.getWidth() / 2, scaled.getHeight() / 2, true);
        }
        scaled = Bitmap.createScaledBitmap(scaled, width, height, true);
        scaled.getPixels(pixels, 0, SIDE, (width - SIDE) / 2, (height - SIDE) / 2, SIDE, SIDE);
        input.rewind();
        for (int pixel : pixels) {
            input.put((byte) (pixel >> 16)).put((byte) (pixel >> 8)).put((byte) pixel);
        }
        input.rewind();
        interpreter.run(input, scores);
        return best(count);
    }

    private List<String> best(int count) {
        boolean[] taken = new boolean[labels.size()];
        List<String> found = new ArrayList<>();
        while (found.size() < Math.min(count, labels.size())) {
            int top = -1;
            for (int i = 0; i < taken.length; i++) {
                if (!taken[i] && (top < 0 || scores[0][i] > scores[0][top])) {
                    top = i;
                }
            }
            taken[top] = true;
            found.add(String.format(Locale.ROOT, "%.1f %% %s", 100 * scores[0][top], labels.get(top)));
        }
        return found;
    }

    private static MappedByteBuffer mapped(Context context, String asset) throws IOException {
        try (AssetFileDescriptor file = context.getAssets().openFd(asset);
                FileInputStream stream = new FileInputStream(file.getFileDescriptor())) {
            return stream.getChannel().map(FileChannel.MapMode.READ_ONLY, file.getStartOffset(), file.getDeclaredLength());
        }
    }

    @Override
    public void close() {
        interpreter.close();
    }
}
