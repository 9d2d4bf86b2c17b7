import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;

/** Cases that print a line each, and questions to the process that started it. */
final class Cases {
    /** A case: it gives how many messages or answers it has checked, or throws. */
    interface Case {
        long run() throws Throwable;
    }

    interface Work {
        void run() throws Exception;
    }

    private final String sdk;

    Cases(String sdk) {
        this.sdk = sdk;
    }

    /** Runs a case, unless others are asked for. */
    void run(String name, Case work) {
        run(name, 60, work);
    }

    void run(String name, int seconds, Case work) {
        String only = System.getenv("AMQP1_INTEROP_CASE");
        if (only != null && !name.contains(only)) {
            return;
        }
        long began = System.nanoTime();
        String outcome;
        var running = new CompletableFuture<Long>();
        var thread = new Thread(() -> {
            try {
                running.complete(work.run());
            } catch (Throwable failure) {
                running.completeExceptionally(failure);
            }
        });
        thread.setDaemon(true);
        thread.start();
        try {
            long messages = running.get(seconds, TimeUnit.SECONDS);
            outcome = messages > 0 ? "\"messages\":" + messages : "\"failure\":\"nothing was checked\"";
        } catch (ExecutionException failure) {
            outcome = "\"failure\":\"" + escaped(failure.getCause()) + "\"";
        } catch (TimeoutException late) {
            var at = new StringBuilder();
            for (StackTraceElement element : thread.getStackTrace()) {
                if (element.getClassName().indexOf('.') < 0) {
                    at.append(" at ").append(element.getFileName()).append(':').append(element.getLineNumber());
                }
            }
            outcome = "\"failure\":\"the case: not within " + seconds + " s" + at + "\"";
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
        double took = (System.nanoTime() - began) / 1e9;
        System.out.printf("{\"sdk\":\"%s\",\"case\":\"%s\",%s,\"seconds\":%.3f}%n", sdk, name, outcome, took);
    }

    /** Has the driver do something, such as cutting all connections, and waits until it has. */
    static void ask(String event) throws Exception {
        System.out.println("{\"event\":\"" + event + "\"}");
        while (System.in.read() != '\n') {
            continue;
        }
    }

    static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    /** What work is refused with, which must be of this class. */
    static <T extends Exception> T refused(Class<T> kind, Work work) {
        try {
            work.run();
        } catch (Exception error) {
            if (error.getClass() != kind) {
                throw new AssertionError(kind.getSimpleName() + " was expected, not " + error, error);
            }
            return kind.cast(error);
        }
        throw new AssertionError(kind.getSimpleName() + " was expected, and nothing was refused");
    }

    static void until(String what, int seconds, BooleanSupplier reached) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!reached.getAsBoolean()) {
            check(System.nanoTime() < end, what + ": not within " + seconds + " s");
            Thread.sleep(20);
        }
    }

    private static String escaped(Throwable failure) {
        var text = new StringBuilder(failure.toString());
        for (Throwable cause = failure.getCause(); cause != null; cause = cause.getCause()) {
            text.append(": ").append(cause);
        }
        for (StackTraceElement at : failure.getStackTrace()) {
            if (at.getModuleName() == null && at.getClassName().indexOf('.') < 0) {
                text.append(" at ").append(at.getFileName()).append(':').append(at.getLineNumber());
            }
        }
        String line = text.toString().replace("\\", "\\\\").replace("\"", "'").replaceAll("\\s+", " ");
        return line.length() > 900 ? line.substring(0, 900) : line;
    }
}
