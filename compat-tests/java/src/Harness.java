import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/**
 * Runs named tests and prints {@code ok NAME} or {@code not ok NAME: why} for each.
 * {@link #killServer} asks the caller to kill and start the server.
 */
final class Harness {
    static final long LIMIT_SECONDS = 20;

    interface Body {
        void run() throws Exception;
    }

    private final Map<String, Body> tests = new LinkedHashMap<>();
    private final BufferedReader input =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    void add(String name, Body body) {
        tests.put(name, body);
    }

    /** Runs everything; true when all passed. */
    boolean run() {
        boolean good = true;
        for (Map.Entry<String, Body> test : tests.entrySet()) {
            try {
                test.getValue().run();
                say("ok " + test.getKey());
            } catch (Throwable error) {
                good = false;
                StringBuilder text = new StringBuilder(error.toString().replace('\n', ' '));
                for (StackTraceElement frame : error.getStackTrace()) {
                    if (frame.getFileName() != null && !frame.getClassName().contains(".")) {
                        text.append(" | ").append(frame);
                    }
                }
                say("not ok " + test.getKey() + ": " + text);
            }
        }
        return good;
    }

    /** The server is killed and started; returns when it serves. */
    void killServer() throws IOException {
        killServer("");
    }

    /** The same in an ensemble: {@code which} is leader or follower. */
    void killServer(String which) throws IOException {
        say(("@kill " + which).trim());
        if (input.readLine() == null) {
            throw new IOException("nobody restarts the server");
        }
    }

    static void check(boolean condition, Object... detail) {
        if (!condition) {
            StringBuilder text = new StringBuilder();
            for (Object part : detail) {
                text.append(part).append(' ');
            }
            throw new AssertionError(text.toString());
        }
    }

    static void same(Object got, Object want) {
        check(got == null ? want == null : got.equals(want), "got", got, "not", want);
    }

    /** Waits until the condition holds. */
    static void await(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS);
        while (!condition.call()) {
            check(System.nanoTime() < end, "not in time:", what);
            Thread.sleep(10);
        }
    }

    /** A line of its own, also when the log is in the middle of one. */
    private static void say(String line) {
        System.out.print("\n" + line + "\n");
        System.out.flush();
    }
}
