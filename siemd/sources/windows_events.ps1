# Reads Windows event logs for siemd: one JSON request a line on stdin, JSON lines as its answer on stdout.
# Runs in Windows PowerShell 5.1 and in PowerShell 7. All decisions are made by windows_events.py; this script only
# opens a log at a place, reads records and says what went wrong. ASCII only: 5.1 reads scripts as ANSI.
#
# request:  {"id", "channel", "query", "bookmark", "offset", "newest", "max", "batch", "render"}
#           bookmark: base64 of the bookmark's XML, or null: then the newest `newest`, or from the oldest when null.
#           offset: 0 begins with the bookmarked record itself, 1 behind it.
# answer:   {"id", "record", "message"} for each record (base64 of UTF-8 text), then
#           {"id", "end", "count", "bookmark", "oldest", "records", "error"} with error null or {"code", "type", "text"}
# at start: {"hello", "version", "edition", "language", "bookmarks"}
$ErrorActionPreference = 'Stop'
$utf8 = New-Object Text.UTF8Encoding $false
$in = New-Object IO.StreamReader([Console]::OpenStandardInput(), $utf8)
$out = New-Object IO.StreamWriter([Console]::OpenStandardOutput(), $utf8)
$flags = [Reflection.BindingFlags]'Instance, Public, NonPublic'
$session = [Diagnostics.Eventing.Reader.EventLogSession]::GlobalSession

# A bookmark's text is public only in newer .NET; in the .NET Framework it is reached by reflection.
$bookmarkType = [Diagnostics.Eventing.Reader.EventBookmark]
$toText = $bookmarkType.GetProperties($flags) | Where-Object { $_.PropertyType -eq [string] } | Select-Object -First 1
$fromText = $bookmarkType.GetConstructors($flags) | Where-Object {
    $parameters = $_.GetParameters()
    $parameters.Count -eq 1 -and $parameters[0].ParameterType -eq [string]
} | Select-Object -First 1
$codeField = [Diagnostics.Eventing.Reader.EventLogException].GetFields($flags) |
    Where-Object { $_.Name -match 'errorCode$' } | Select-Object -First 1

function Encode($text) {
    if ($null -eq $text) { return $null }
    [Convert]::ToBase64String($utf8.GetBytes([string]$text))
}

function Decode($text) { $utf8.GetString([Convert]::FromBase64String($text)) }

function Send($answer) {
    $out.WriteLine((ConvertTo-Json $answer -Compress -Depth 4))
}

function Describe($exception) {
    while ($null -ne $exception.InnerException) { $exception = $exception.InnerException }
    $code = $exception.HResult -band 0xFFFF
    if ($exception -is [Diagnostics.Eventing.Reader.EventLogException] -and $null -ne $codeField) {
        $own = [int]$codeField.GetValue($exception)
        if ($own -ne 0) { $code = $own -band 0xFFFF }
    }
    @{ code = $code; type = $exception.GetType().Name; text = [string]$exception.Message }
}

function Open-Reader($request, $reverse) {
    $type = [Diagnostics.Eventing.Reader.PathType]::LogName
    $query = New-Object Diagnostics.Eventing.Reader.EventLogQuery($request.channel, $type, $request.query)
    $query.ReverseDirection = $reverse
    $reader = New-Object Diagnostics.Eventing.Reader.EventLogReader($query)
    $reader.BatchSize = [int]$request.batch
    if ($null -ne $request.bookmark) {
        $bookmark = $fromText.Invoke(@([string](Decode $request.bookmark)))
        $reader.Seek($bookmark, [long]$request.offset)
    }
    $reader
}

function Send-Record($request, $record) {
    $line = '{"id":' + [int]$request.id + ',"record":"' + (Encode $record.ToXml()) + '"'
    if ($request.render) {
        try { $line += ',"message":"' + (Encode $record.FormatDescription()) + '"' } catch { $null = $_ }
    }
    $out.WriteLine($line + '}')
}

function Read-Log($request) {
    $end = @{
        id = $request.id; end = $true; count = 0; bookmark = $null; oldest = $null; records = $null; error = $null
    }
    $reverse = ($null -eq $request.bookmark) -and ($null -ne $request.newest)
    if ($reverse) { $limit = [int]$request.newest } else { $limit = [int]$request.max }
    $reader = $null
    $last = $null
    try {
        $log = $session.GetLogInformation($request.channel, [Diagnostics.Eventing.Reader.PathType]::LogName)
        $end.oldest = $log.OldestRecordNumber
        $end.records = $log.RecordCount
        $reader = Open-Reader $request $reverse
        while ($end.count -lt $limit) {
            $record = $reader.ReadEvent()
            if ($null -eq $record) { break }
            Send-Record $request $record
            $end.count += 1
            # Reading newest first, the first record is the one to go on from; otherwise the last one is.
            if ($null -eq $last) { $last = $record }
            elseif ($reverse) { $record.Dispose() }
            else { $last.Dispose(); $last = $record }
        }
    } catch {
        $end.error = Describe $_.Exception
    }
    if ($null -ne $last) {
        if ($null -ne $toText) { $end.bookmark = Encode $toText.GetValue($last.Bookmark, $null) }
        $last.Dispose()
    }
    if ($null -ne $reader) { $reader.Dispose() }
    Send $end
    $out.Flush()
}

Send @{
    hello = 1
    version = [string]$PSVersionTable.PSVersion
    edition = [string]$PSVersionTable.PSEdition
    language = [string]$ExecutionContext.SessionState.LanguageMode
    bookmarks = ($null -ne $toText) -and ($null -ne $fromText)
}
$out.Flush()
while ($null -ne ($line = $in.ReadLine())) {
    if ($line.Trim()) { Read-Log (ConvertFrom-Json $line) }
}
