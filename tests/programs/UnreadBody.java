// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.ArrayList;
import java.util.List;

/** An HTTP client that opens the body's stream and neither reads nor closes it. */
public final class UnreadBody {
    private static final List<InputStream> STREAMS = new ArrayList<>();

    private UnreadBody() {
    }

    /** Leaks as many connections to a port of this host as asked for: PORT COUNT. */
    public static void main(String[] arguments) throws Exception {
        URL url = new URL("http://127.0.0.1:" + Integer.parseInt(arguments[0]) + "/");
        for (int i = 0; i < Integer.parseInt(arguments[1]); i++) {
            HttpURLConnection connection = (HttpURLConnection) url.openConnection();
            STREAMS.add(connection.getInputStream());
        }
        Thread.sleep(Long.MAX_VALUE);
    }
}
